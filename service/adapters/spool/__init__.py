"""Uploads on a disk."""

from service.adapters.spool.disk import DiskSpool

__all__ = ["DiskSpool"]
