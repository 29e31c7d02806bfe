"""SQL of clients in PostgreSQL 13 or newer, by asyncpg (the extra `postgres`), not through a pooler.

A client's statement runs in a session of its own, as a role that owns nothing but what clients have made
(`role`, `provision`), in one transaction (`running`) that is looked at before and after (`guard`). Rows come
as text (`wire`, `values`). Datasets are views (`views`, `columns`) that are made when they are asked for.
"""

from service.adapters.postgres_sql.database import PostgresDatabase

__all__ = ["PostgresDatabase"]
