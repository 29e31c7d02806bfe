"""Tests of the engine on DuckDB."""
