"""What every child process is to the service that has started it."""

from __future__ import annotations

import ctypes
import signal
import sys
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # Linux, prctl in section 2 of its manual


def serve_parent() -> None:
    """Leave Ctrl-C to the service, be the first that the system ends for want of memory, and end with it.

    Where the service is killed, what it has asked would go on until its time is over.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        with suppress(OSError):  # not everybody may; then the system chooses by size
            Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
