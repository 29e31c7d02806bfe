"""Tests of the service as a process: started by its command line, seen over HTTP, ended by signals."""
