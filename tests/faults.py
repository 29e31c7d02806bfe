"""How often a fault is tried: every trial with AEROLITE_TRIALS=all (`make faults`), else a tenth."""

from __future__ import annotations

import os


def trials(whole: int) -> int:
    """Return how many of the `whole` trials this run makes, at least one."""
    return whole if os.environ.get("AEROLITE_TRIALS") == "all" else max(1, whole // 10)
