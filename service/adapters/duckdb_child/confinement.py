"""What the child gives up before it hears of a statement: memory, files, network, children of its own.

Each layer stands by itself, because DuckDB is large: what its own settings let slip, the system refuses.
Where a system has none of a kind (macOS no bound on addresses, an old kernel no Landlock), the others hold.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

from service.adapters.child_process import serve_parent

_OPEN_FILES = 128

# Linux, prctl in section 2 of its manual: what to set.
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38

# Linux, landlock in section 7: system calls, and what a rule set handles (13 rights to files, later more).
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_READ_FILE, _READ_DIRECTORY = 1 << 2, 1 << 3
_RIGHTS_TO_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}
_RIGHTS_TO_TCP = 0b11

_ALSO_READ = (Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))
"""DuckDB looks there for the limits of its container, and gives up where it sees but cannot read."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("directory", ctypes.c_int32))


def confine(directory: Path, address_bytes: int) -> None:
    """Give up all that reading the files in a directory does not need; there is no way back."""
    serve_parent()
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _limit(resource.RLIMIT_NPROC, 0)  # neither processes nor threads; root is exempt
    _limit(resource.RLIMIT_AS, address_bytes)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _landlock(libc, directory)


def limit_cpu(further_s: int) -> None:
    """Let the process live for so many more seconds of processor time, should nobody be left to kill it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + further_s, resource.RLIM_INFINITY)


def _limit(kind: int, soft: int, hard: int | None = None) -> None:
    with suppress(ValueError, OSError):  # a system without such a limit, or with a lower one
        resource.setrlimit(kind, (soft, soft if hard is None else hard))


def _landlock(libc: ctypes.CDLL, directory: Path) -> None:
    """Deny all files but to read those in a directory, and all TCP; a kernel without Landlock denies none."""
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return
    files = _RIGHTS_TO_FILES[min(version, 3)]
    handled = _Ruleset(files, _RIGHTS_TO_TCP if version >= 4 else 0)
    size = ctypes.sizeof(handled) if version >= 4 else ctypes.sizeof(ctypes.c_uint64)
    rules = libc.syscall(_CREATE_RULESET, ctypes.byref(handled), ctypes.c_size_t(size), 0)
    if rules < 0:
        return
    for path in (directory, *_ALSO_READ):
        with suppress(FileNotFoundError):
            _allow_reading(libc, rules, path)
    libc.syscall(_RESTRICT_SELF, rules, 0)
    os.close(rules)


def _allow_reading(libc: ctypes.CDLL, rules: int, path: Path) -> None:
    beneath = os.open(path, os.O_RDONLY)
    rights = _READ_FILE | (_READ_DIRECTORY if path.is_dir() else 0)
    rule = _Beneath(rights, beneath)
    libc.syscall(_ADD_RULE, rules, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    os.close(beneath)
