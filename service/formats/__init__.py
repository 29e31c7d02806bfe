"""Bytes in and out: decode an upload, split it into records, type them, encode an answer."""
