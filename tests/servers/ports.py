"""Ports that stay a server's own, also while it does not run."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

LOOPBACK = "127.0.0.1"
CHOICE = range(12_000, 22_000)
"""With `also` on top, too, below the range from which the kernel gives ports to outgoing connections."""


@contextmanager
def own_port(*, also: int = 0) -> Iterator[int]:
    """Give a free loopback port, and that `also` above it, which no other test run gets while the block lasts.

    Each is held by a socket that does not listen. Beside it a server may listen that sets SO_REUSEADDR
    (as Redis, PostgreSQL and Python's do; socket(7)), so neither at its first start nor at a later one
    does it find another one in its place.
    """
    with ExitStack() as held:
        yield _hold(held, also)


def _hold(held: ExitStack, also: int) -> int:
    while True:
        port = random.choice(CHOICE)
        with contextlib.suppress(OSError), ExitStack() as taken:
            for number in {port, port + also}:
                holder = taken.enter_context(socket.socket())
                holder.bind((LOOPBACK, number))
                # Not before: two holders that have it would both get the port.
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.push(taken.pop_all())
            return port
