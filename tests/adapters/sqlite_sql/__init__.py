"""SQLite for clients' SQL: what is SQLite's own."""
