"""Storage in PostgreSQL 13 or newer (tested with 15, 16 and 18), by asyncpg (the extra `postgres`).

All that the service stores is in a schema of its own, `aerolite`, which no other role may use. Every
connection may be one through PgBouncer: no session state is relied on, only what lasts a transaction.
(Pooling by transaction needs PgBouncer 1.21 or newer with `max_prepared_statements`, since asyncpg prepares
its statements.)
"""

from service.adapters.postgres.storage import PostgresStorage

__all__ = ["PostgresStorage"]
