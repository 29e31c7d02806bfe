"""Implementations of the ports, one file or folder for each technology."""
