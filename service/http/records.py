"""`/datasets/{name}/records`: pages of records, appends, and single records."""

from __future__ import annotations

from datetime import date
from typing import Protocol
from urllib.parse import quote

from service.contracts.messages import Document, Record, Reply
from service.domain.datasets import Dataset, check_name
from service.http import parameters
from service.http.answers import Answer, Ask, dataset_version
from service.http.conditions import guard_of
from service.http.loads import Loads
from service.http.pages import Pages
from service.http.uploads import Uploads
from service.ports.storage import Guard, OnConflict
from service.usecases.editing import Edited, Editing
from service.usecases.jobs.load import Verb
from service.usecases.reading import Reading
from service.usecases.views import View, Views

_ON_CONFLICT = tuple(OnConflict)


class Edit(Protocol):
    """A way to change one record."""

    async def __call__(
        self, name: str, key: str, body: bytes, *, day: date | None, widen: bool, guard: Guard
    ) -> Edited:
        """Change the record."""
        ...


class RecordsResource:
    """Records of a dataset."""

    def __init__(
        self,
        reading: Reading,
        pages: Pages,
        views: Views,
        loads: Loads,
        editing: Editing,
        uploads: Uploads,
    ) -> None:
        self._reading = reading
        self._pages = pages
        self._views = views
        self._loads = loads
        self._editing = editing
        self._uploads = uploads

    async def read(self, ask: Ask) -> Answer:
        """Answer with a page."""
        return await self._pages.read(ask, check_name(ask.path("name")))

    async def append(self, ask: Ask) -> Answer:
        """Append one record or many."""
        name = check_name(ask.path("name"))
        dataset = await self._reading.dataset(name)
        guard = guard_of(ask.request, dataset.revision, exists=dataset.created is not None)
        async with self._uploads.receive(ask, guard) as upload:
            options = upload.options(
                single=True,
                widen=parameters.choice(ask.query, "widen", ("0", "1")) == "1",
                on_conflict=OnConflict(parameters.choice(ask.query, "on_conflict", _ON_CONFLICT)),
            )
            order = (name, upload.source, options, upload.guard)
            if accepted := await self._loads.deferred(ask, Verb.APPEND, *order):
                return accepted
            receipt = await self._loads.now.append(*order)
        commit = receipt.commit
        location = f"{ask.link_base}/datasets/{name}/records"
        if commit.added == 1 and dataset.schema.key is None:
            location += f"/@{commit.first_position}"
        return Answer(Reply(201, Document(receipt.as_document()), {"Location": location}))

    async def read_one(self, ask: Ask) -> Answer:
        """Answer with one record."""
        name = check_name(ask.path("name"))
        stored = await self._reading.record(name, ask.path("key"))
        return one_record(stored.dataset, self._views.of(stored.dataset, ask.day), stored.record)

    async def put_one(self, ask: Ask) -> Answer:
        """Replace one record."""
        return await self._edit(ask, self._editing.put)

    async def patch_one(self, ask: Ask) -> Answer:
        """Merge a patch into one record."""
        return await self._edit(ask, self._editing.patch)

    async def delete_one(self, ask: Ask) -> Answer:
        """Delete one record."""
        name = check_name(ask.path("name"))
        dataset = await self._reading.dataset(name)
        guard = guard_of(ask.request, dataset.revision, exists=True)
        commit = await self._editing.delete(name, ask.path("key"), guard)
        body = {
            "dataset": name,
            "loaded": 0,
            "count": commit.dataset.count,
            "revision": commit.dataset.revision,
            "deleted": commit.removed,
        }
        return Answer(Reply(200, Document(body)))

    async def _edit(self, ask: Ask, edit: Edit) -> Answer:
        name, key = check_name(ask.path("name")), ask.path("key")
        dataset = await self._reading.dataset(name)
        guard = guard_of(ask.request, dataset.revision, exists=True)
        widen = parameters.choice(ask.query, "widen", ("0", "1")) == "1"
        body = await self._uploads.small_json(ask)
        edited = await edit(name, key, body, day=ask.day, widen=widen, guard=guard)
        answer = one_record(edited.dataset, self._views.of(edited.dataset, ask.day), edited.record)
        if edited.created:
            answer.reply.status = 201
            answer.reply.headers["Location"] = (
                f"{ask.link_base}/datasets/{name}/records/{quote(key, safe='')}"
            )
        return answer


def one_record(dataset: Dataset, view: View, record: bytes) -> Answer:
    """Return the answer that is one record as it is seen."""
    return Answer(
        Reply(200, Record(record), dataset_version(view)),
        tag=(dataset.name, dataset.revision),
        view=view,
    )
