"""`/datasets` and `/datasets/{name}`: files become datasets, and datasets are described."""

from __future__ import annotations

from typing import Any

import msgspec

from service.contracts.messages import Document, Reply
from service.domain.datasets import Dataset, check_name
from service.domain.errors import InvalidContent
from service.http.answers import Answer, Ask, dataset_version
from service.http.conditions import guard_of
from service.http.loads import Loads
from service.http.moments import moment
from service.http.uploads import Uploads
from service.ports.storage import Datasets
from service.usecases.editing import Editing
from service.usecases.jobs.load import Verb
from service.usecases.reading import missing
from service.usecases.views import View, Views

MAX_TITLE_CHARS = 1000


class DatasetsResource:
    """Datasets as wholes."""

    def __init__(
        self, datasets: Datasets, views: Views, loads: Loads, editing: Editing, uploads: Uploads
    ) -> None:
        self._datasets = datasets
        self._views = views
        self._loads = loads
        self._editing = editing
        self._uploads = uploads

    async def list(self, ask: Ask) -> Answer:
        """List all datasets."""
        found = await self._datasets.datasets()
        described = [describe(dataset, self._views.of(dataset, ask.day)) for dataset in found]
        return Answer(Reply(200, Document({"datasets": described})))

    async def read(self, ask: Ask) -> Answer:
        """Describe one dataset."""
        name = check_name(ask.path("name"))
        return self._described(ask, await self._existing(name))

    async def load(self, ask: Ask) -> Answer:
        """Create or replace one from a file."""
        name = check_name(ask.path("name"))
        current = await self._datasets.dataset(name)
        revision = 0 if current is None else current.revision
        guard = guard_of(ask.request, revision, exists=current is not None)
        async with self._uploads.receive(ask, guard) as upload:
            order = (name, upload.source, upload.options(), upload.guard)
            if accepted := await self._loads.deferred(ask, Verb.REPLACE, *order):
                return accepted
            receipt = await self._loads.now.replace(*order)
        document = Document(receipt.as_document())
        if receipt.created:
            return Answer(Reply(201, document, {"Location": f"{ask.link_base}/datasets/{name}"}))
        return Answer(Reply(200, document))

    async def patch(self, ask: Ask) -> Answer:
        """Change the title."""
        name = check_name(ask.path("name"))
        current = await self._existing(name)
        guard = guard_of(ask.request, current.revision, exists=True)
        patch = _patch_of(await self._uploads.small_json(ask))
        if "title" not in patch:
            return self._described(ask, current)
        return self._described(ask, await self._editing.retitle(name, patch["title"], guard))

    async def delete(self, ask: Ask) -> Answer:
        """Delete it."""
        name = check_name(ask.path("name"))
        current = await self._existing(name)
        guard = guard_of(ask.request, current.revision, exists=True)
        commit = await self._editing.remove(name, guard)
        return Answer(
            Reply(
                200,
                Document(
                    {
                        "dataset": name,
                        "loaded": 0,
                        "count": 0,
                        "revision": commit.dataset.revision,
                        "deleted": commit.removed,
                    }
                ),
            )
        )

    def _described(self, ask: Ask, dataset: Dataset) -> Answer:
        view = self._views.of(dataset, ask.day)
        reply = Reply(200, Document(describe(dataset, view)), dataset_version(view))
        return Answer(reply, tag=(dataset.name, dataset.revision))

    async def _existing(self, name: str) -> Dataset:
        dataset = await self._datasets.dataset(name)
        if dataset is None:
            raise missing(name)
        return dataset


def describe(dataset: Dataset, view: View) -> dict[str, Any]:
    """Return what the API tells of a dataset to those who see it so."""
    return {
        "name": dataset.name,
        "title": dataset.schema.title,
        "key": view.key,
        "count": dataset.count,
        "revision": dataset.revision,
        "columns": view.listed(),
        "bytes": dataset.size_bytes,
        "created": moment(dataset.created),
        "updated": moment(dataset.updated),
    }


def _patch_of(body: bytes) -> dict[str, Any]:
    try:
        patch = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidContent(f"The patch is no JSON: {error}.") from None
    if not isinstance(patch, dict):
        raise InvalidContent("The patch is a JSON object.")
    for name in patch:
        if name != "title":
            raise InvalidContent("Only `title` can be changed.", pointer="/" + name)
    title = patch.get("title")
    if title is not None and not (isinstance(title, str) and len(title) <= MAX_TITLE_CHARS):
        raise InvalidContent(f"A title is text of at most {MAX_TITLE_CHARS} characters.", pointer="/title")
    return patch
