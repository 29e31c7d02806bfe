"""What the contract suite needs of a backend beside the port: replicas, other processes, and faults."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager

from service.ports.storage import Storage
from tests.waiting import PATIENCE_S


class Backend(ABC):
    """One empty store on a real server, as a test sees it.

    `snapshots_hold`: a snapshot is not disturbed by edits (else it declares `SnapshotLost`).
    `waits_at_start`: a service can start while the store is stopped (else entering raises `StoreError`).
    """

    snapshots_hold: bool = True
    waits_at_start: bool = True

    @abstractmethod
    def open(self, *, timeout_s: float = PATIENCE_S) -> Storage:
        """Return a new Storage object on the store, not yet entered: another replica.

        What says nothing for `timeout_s` counts as gone, which a slow machine must not be taken for.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Take the store away, keeping what it stores."""

    @abstractmethod
    async def start(self) -> None:
        """Bring it back."""

    @abstractmethod
    def stalled(self) -> AbstractAsyncContextManager[None]:
        """Make the store hear but not answer, while inside (SQLite: another one holds the write lock)."""

    @abstractmethod
    def full(self) -> AbstractAsyncContextManager[Storage]:
        """Give a replica for which the store has no room for 4 MiB more."""

    @abstractmethod
    async def pieces(self) -> int:
        """Count what is stored (rows, keys, fields of hashes: whatever a leftover would add to)."""


class ProcessBackend(Backend):
    """A store that several processes can open.

    `address` opens it in another process: `BACKENDS[name].connect(address, clock)`.
    """

    address: str


class ServerBackend(ProcessBackend):
    """A store that is a server process of its own."""

    @abstractmethod
    async def kill(self) -> None:
        """Kill the server with SIGKILL; `start` brings it back."""
