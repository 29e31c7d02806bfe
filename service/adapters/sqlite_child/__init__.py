"""What runs in the child process in which SQLite answers strangers (`python -m` this package).

A process of its own, because some of SQLite's functions cannot be interrupted and because its memory can
only be bounded for a whole process. It knows nothing but the files that it is told.
"""
