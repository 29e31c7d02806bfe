"""`/data`: the dataset called `data`, as the first contract knew it and every later one still does."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator

from service.contracts.messages import Document, Reply
from service.domain.datasets import DATA
from service.domain.errors import DatasetNotFound
from service.domain.sample import COLUMNS, sample
from service.formats.reading import InputFormat
from service.http.answers import Answer, Ask
from service.http.conditions import guard_of
from service.http.loads import Loads
from service.http.pages import Pages
from service.http.uploads import Uploads
from service.usecases.editing import Editing
from service.usecases.jobs.load import Verb
from service.usecases.loading import Source
from service.usecases.reading import Reading


class DataResource:
    """The dataset that is always there."""

    def __init__(
        self, reading: Reading, pages: Pages, loads: Loads, editing: Editing, uploads: Uploads
    ) -> None:
        self._reading = reading
        self._pages = pages
        self._loads = loads
        self._editing = editing
        self._uploads = uploads

    async def read(self, ask: Ask) -> Answer:
        """Answer with a page."""
        return await self._pages.read(ask, DATA)

    async def load(self, ask: Ask) -> Answer:
        """Replace it by a file, or by the built-in sample where there is no body."""
        current = await self._reading.dataset(DATA)
        guard = guard_of(ask.request, current.revision, exists=current.created is not None)
        async with self._uploads.receive(ask, guard) as upload:
            source, options = upload.source, upload.options()
            if not ask.request.can_read_body:
                # The sample has the columns that it had on the first day.
                source = Source(_sample())
                options = upload.options(format=InputFormat.CSV, delimiter=",", day=None)
            order = (DATA, source, options, upload.guard)
            if accepted := await self._loads.deferred(ask, Verb.REPLACE, *order):
                return accepted
            receipt = await self._loads.now.replace(*order)
        location = {"Location": f"{ask.link_base}/data"}
        return Answer(Reply(201, Document(receipt.as_document()), location))

    async def delete(self, ask: Ask) -> Answer:
        """Empty it; emptying what is empty is fine."""
        current = await self._reading.dataset(DATA)
        guard = guard_of(ask.request, current.revision, exists=current.created is not None)
        removed, revision = 0, current.revision
        try:
            commit = await self._editing.remove(DATA, guard)
            removed, revision = commit.removed, commit.dataset.revision
        except DatasetNotFound:
            pass
        body = {"dataset": DATA, "loaded": 0, "count": 0, "revision": revision, "deleted": removed}
        return Answer(Reply(200, Document(body)))


async def _sample() -> AsyncIterator[bytes]:
    """Yield the sample as a CSV: read as text, it is what a CSV upload of it would be."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    writer.writerows(sample())
    yield out.getvalue().encode()
