"""Storage in an SQLite file."""

from service.adapters.sqlite.storage import SqliteStorage

__all__ = ["SqliteStorage"]
