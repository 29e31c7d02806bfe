"""Real servers for tests, started from the path or from wheels."""
