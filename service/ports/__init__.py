"""Protocols that the use cases speak and the adapters implement; their docstrings are the semantics."""
