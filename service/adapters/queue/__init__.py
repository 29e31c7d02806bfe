"""Doorbells: in this process, in Redis, in PostgreSQL."""
