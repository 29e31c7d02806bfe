"""Clients' SQL in PostgreSQL: what the suite of all databases (tests/contract/sql) does not say."""
