"""The command line, each command called as from a shell."""
