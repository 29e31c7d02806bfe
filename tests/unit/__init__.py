"""Unit tests: one module each, no server and no network but the loopback."""
