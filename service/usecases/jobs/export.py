"""Exports: any query of the records endpoint as a file, made by a worker and fetched from any replica."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from service.domain.datasets import check_name
from service.domain.errors import InvalidContent, InvalidParameter, JobResultGone, UnknownColumn
from service.domain.jobs import Job, JobState
from service.formats.encoding import CsvOut, Encoder, JsonArray, Ndjson
from service.formats.shape import compile_shape
from service.ports.clock import Clock
from service.usecases.batches import closing
from service.usecases.jobs.blobs import Blob, Blobs
from service.usecases.jobs.kinds import Attempt, JobType, no_more_than
from service.usecases.questions import Answered, Asked, Questions, resolve
from service.usecases.reading import Page, Reading, Selection
from service.usecases.views import View, Views

FORMATS = ("csv", "json", "ndjson", "parquet")
KEPT_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """What is to be exported, in the client's words."""

    asked: Asked
    selection: Selection
    fields: tuple[str, ...] | None = None


Parse = Callable[[str], ExportQuery]
"""Reads a query as it stands in a URL. Raises `InvalidParameter`, `InvalidRequest`."""


class ExportJob(JobType):
    """Makes a file of records; each attempt makes its own, and the job's record names the one that counts."""

    name = "export"

    def __init__(
        self,
        reading: Reading,
        questions: Questions,
        views: Views,
        blobs: Blobs,
        parse: Parse,
        clock: Clock,
    ) -> None:
        self._reading = reading
        self._questions = questions
        self._views = views
        self._blobs = blobs
        self._parse = parse
        self._clock = clock

    def check(self, params: dict[str, Any]) -> dict[str, Any]:
        """Take `dataset`, `query` (as in a URL) and `format`. Raises `InvalidContent`."""
        no_more_than(params, "dataset", "query", "format")
        name, query, form = params.get("dataset"), params.get("query", ""), params.get("format", "csv")
        if not isinstance(name, str):
            raise InvalidContent("`dataset` names the dataset.", pointer="/dataset")
        if not isinstance(query, str):
            raise InvalidContent(
                "`query` is text as in a URL, such as `sort=name&fell=true`.", pointer="/query"
            )
        if form not in FORMATS:
            raise InvalidContent("There is no such format.", pointer="/format", valid=list(FORMATS))
        try:
            check_name(name)
            self._parse(query)
        except InvalidParameter as error:
            pointer = "/dataset" if error.members["parameter"] == "name" else "/query"
            raise InvalidContent(error.detail, pointer=pointer, **error.members) from None
        return {"dataset": name, "query": query, "format": form}

    async def accept(self, params: dict[str, Any], day: date | None) -> None:
        """Refuse what cannot be asked of the dataset as it stands.

        Raises `DatasetNotFound`, `InvalidParameter`, `UnknownColumn`.
        """
        query = self._parse(params["query"])
        view = self._views.of(await self._reading.dataset(params["dataset"]), day)
        resolve(query.asked, view)
        _check_fields(query, view)

    async def run(self, attempt: Attempt) -> dict[str, Any]:
        """Make the file; the result tells how long it can be fetched."""
        job = attempt.job
        params, query = job.params, self._parse(job.params["query"])
        parquet = params["format"] == "parquet"
        asked = replace(query.asked, file=parquet)
        expires = self._clock.now() + KEPT_FOR
        async with self._open(params["dataset"], asked, query.selection, job.day) as page:
            view = self._views.of(page.dataset, job.day)
            _check_fields(query, view)
            columns = query.fields or tuple(column.name for column in view.columns)
            if parquet:
                chunks = _parquet(page, columns)
            else:
                encoder = _encoder(params["format"], columns)
                chunks = _encoded(attempt, page, encoder, view, query.fields)
            async with closing(chunks):
                blob = await self._blobs.store(f"{job.id}.{job.attempt}", chunks, expires)
        await attempt.fence()
        return {
            "dataset": params["dataset"],
            "revision": page.dataset.revision,
            "format": params["format"],
            "bytes": blob.size_bytes,
            "expires": expires.isoformat(),
            "blob": {"name": blob.name, "pieces": blob.pieces, "size_bytes": blob.size_bytes},
        }

    def told(self, result: dict[str, Any]) -> dict[str, Any]:
        """Return the result without where the file is kept."""
        return {name: value for name, value in result.items() if name != "blob"}

    def _open(
        self, name: str, asked: Asked, selection: Selection, day: date | None
    ) -> AbstractAsyncContextManager[Page]:
        if asked.plain:
            return self._reading.open(name, selection)
        return self._questions.open(name, asked, selection, day)

    def file(self, job: Job) -> AsyncIterator[bytes]:
        """Return the bytes of a finished export. Raises `JobResultGone`."""
        if job.type != self.name or job.state is not JobState.SUCCEEDED or job.result is None:
            raise JobResultGone("This job has no file: only an export that has succeeded has one.")
        if datetime.fromisoformat(job.result["expires"]) <= self._clock.now():
            raise JobResultGone("The file was kept for 24 hours and is gone; export it again.")
        return self._blobs.read(Blob(**job.result["blob"]))


def _check_fields(query: ExportQuery, view: View) -> None:
    valid = [column.name for column in view.columns]
    for name in query.fields or ():
        if name not in valid:
            raise UnknownColumn("fields", f"There is no column {name[:200]!r}.", valid=valid)


def _encoder(form: str, columns: tuple[str, ...]) -> Encoder:
    if form == "csv":
        return CsvOut(columns)
    return Ndjson() if form == "ndjson" else JsonArray()


def _parquet(page: Page, columns: tuple[str, ...]) -> AsyncIterator[bytes]:
    if not columns:
        raise InvalidContent("There is no column yet that a Parquet file could have.", pointer="/format")
    assert isinstance(page, Answered)  # noqa: S101 - a file was asked for
    assert page.file is not None  # noqa: S101 - likewise
    return page.file(columns, typed=True)


async def _encoded(
    attempt: Attempt, page: Page, encoder: Encoder, view: View, fields: tuple[str, ...] | None
) -> AsyncIterator[bytes]:
    shape = compile_shape(view.columns, typed=True, fields=fields, lens=view.lens)
    total = page.count if isinstance(page, Answered) else page.dataset.count
    encode = partial(_chunk, encoder, shape)
    yield encoder.prologue()
    done = 0
    async with closing(_batches(page)) as batches:
        async for records in batches:
            yield await asyncio.to_thread(encode, records, done == 0)
            done += len(records)
            attempt.progress(done / max(total, 1))
    yield encoder.epilogue()


def _chunk(encoder: Encoder, shape: Any, records: Any, first: bool) -> bytes:
    return encoder.chunk(records if shape is None else shape(records), first)


async def _batches(page: Page) -> AsyncIterator[Any]:
    if page.batches is None:
        if page.records:
            yield page.records
        return
    async with closing(page.batches) as batches:
        async for records in batches:
            if records:
                yield records
