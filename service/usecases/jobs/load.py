"""Loading by a job: the upload is staged, a worker loads it, and readers see it at the commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from service.domain.datasets import check_name
from service.domain.errors import IdempotencyMismatch, InvalidContent
from service.domain.jobs import KEPT, Job
from service.ports.clock import Clock
from service.ports.spool import Spool, Upload
from service.ports.storage import Documents, Guard, Idempotency
from service.usecases.jobs.blobs import Blob, Blobs
from service.usecases.jobs.desk import Desk
from service.usecases.jobs.kinds import Attempt, JobType
from service.usecases.loading import Loading, LoadOptions, Source

STAGED_FOR = timedelta(hours=25)
"""A little longer than a load may wait for its turn."""

_ORDERS = "job-idempotency"
_READ_BYTES = 256 << 10
_FETCHED = 0.1
"""The share of the progress that getting the file from the storage is."""


class Verb(StrEnum):
    """What becomes of the dataset."""

    REPLACE = "replace"
    APPEND = "append"


class LoadJob(JobType):
    """Loads a staged upload. The commit carries the job's id as its Idempotency-Key, so it is made once."""

    name = "load"
    startable = False

    def __init__(self, loading: Loading, blobs: Blobs, clock: Clock) -> None:
        self._loading = loading
        self._blobs = blobs
        self._clock = clock

    def check(self, params: dict[str, Any]) -> dict[str, Any]:
        """Refuse: a load has a body. Raises `InvalidContent`."""
        raise InvalidContent(
            "Send the file with `Prefer: respond-async` to where it is loaded.", pointer="/type"
        )

    def exclusive(self, params: dict[str, Any]) -> str:
        """Let one load of a dataset run at a time."""
        return f"dataset:{params['dataset']}"

    def shown(self, params: dict[str, Any]) -> dict[str, Any]:
        """Tell what is loaded into what."""
        size_bytes = params["upload"]["size_bytes"]
        return {"dataset": params["dataset"], "verb": params["verb"], "bytes": size_bytes}

    async def run(self, attempt: Attempt) -> dict[str, Any]:
        """Load it; the result is the receipt."""
        params = attempt.job.params
        blob = Blob(**params["upload"])
        fingerprint = attempt.job.id
        idempotency = Idempotency(f"job:{fingerprint}", fingerprint, self._clock.now() + KEPT)
        guard = Guard(**params["guard"], idempotency=idempotency)
        options = msgspec.convert(params["options"], LoadOptions)
        verb = self._loading.append if params["verb"] == Verb.APPEND else self._loading.replace

        def progress(_: int, read_bytes: int) -> None:
            attempt.progress(_FETCHED + (1 - _FETCHED) * read_bytes / max(blob.size_bytes, 1))

        await attempt.fence()
        # It was inflated when it came: whatever it looks like now, that is what was sent.
        source = Source(self._blobs.read(blob), "identity")
        receipt = await verb(params["dataset"], source, options, guard, progress)
        return receipt.as_document()

    async def finished(self, job: Job) -> None:
        """Remove the upload."""
        await self._blobs.remove(Blob(**job.params["upload"]))


class LoadOrders:
    """Takes uploads for jobs."""

    def __init__(
        self,
        desk: Desk,
        kind: LoadJob,
        spool: Spool,
        blobs: Blobs,
        documents: Documents,
        clock: Clock,
        max_bytes: int,
    ) -> None:
        self._desk = desk
        self._kind = kind
        self._spool = spool
        self._blobs = blobs
        self._documents = documents
        self._clock = clock
        self._max_bytes = max_bytes

    async def post(self, verb: Verb, name: str, source: Source, options: LoadOptions, guard: Guard) -> Job:
        """Stage an upload and order its load; repeated with the same Idempotency-Key it is the same job.

        Raises what `Spool.receive` raises, `IdempotencyMismatch`.
        """
        check_name(name)
        async with self._spool.receive(
            source.chunks, content_encoding=source.content_encoding, max_bytes=self._max_bytes
        ) as upload:
            id_ = await self._id(guard.idempotency, upload)
            known = await self._desk.store.find(id_)
            if known is not None:
                return known
            expires = self._clock.now() + STAGED_FOR
            blob = await self._blobs.store(id_, _chunks(upload.path), expires)
        params = {
            "verb": verb.value,
            "dataset": name,
            "options": msgspec.to_builtins(options),
            "guard": {"revision": guard.revision, "exists": guard.exists},
            "upload": msgspec.to_builtins(blob),
        }
        return await self._desk.post(self._kind, params, id=id_)

    async def _id(self, idempotency: Idempotency | None, upload: Upload) -> str:
        """Return the id of the job: a new one, or that of the request which this one repeats."""
        id_ = self._desk.next_id()
        if idempotency is None:
            return id_
        body = {"job": id_, "fingerprint": f"{idempotency.fingerprint}:{upload.sha256}"}
        key, expires = idempotency.key, idempotency.expires
        if await self._documents.create(_ORDERS, key, body, expires=expires) is not None:
            return id_
        order = await self._documents.get(_ORDERS, key)
        if order is None:  # it has expired between the two
            return await self._id(idempotency, upload)
        if order.body["fingerprint"] != body["fingerprint"]:
            raise IdempotencyMismatch("Use a new Idempotency-Key for another request; this one is taken.")
        return str(order.body["job"])


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    read_bytes = 0
    while chunk := await asyncio.to_thread(_piece, path, read_bytes):
        yield chunk
        read_bytes += len(chunk)


def _piece(path: Path, start: int) -> bytes:
    """Read some bytes; it closes the file itself, for nobody may be waiting for it any more."""
    with path.open("rb") as file:
        file.seek(start)
        return file.read(_READ_BYTES)
