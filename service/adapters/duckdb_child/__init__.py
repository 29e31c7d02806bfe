"""What runs in the child process in which DuckDB answers strangers (`python -m` this package).

A process of its own, because some of DuckDB's functions heed neither its memory limit nor an interrupt: it is
killed at the time limit, and the system bounds its memory. It knows nothing but the files that it is told.
"""
