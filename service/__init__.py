"""Aerolite puts a dataset behind an HTTP API that never breaks its clients."""
