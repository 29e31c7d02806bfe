"""SQL of clients on SQLite: a file of its own, asked in child processes (`service.adapters.sqlite_child`)."""

from service.adapters.sqlite_sql.database import SqliteDatabase

__all__ = ["SqliteDatabase"]
