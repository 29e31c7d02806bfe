"""`/openapi.json`: the API as a contract has it, and the datasets as the caller sees them on its day."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import date

import msgspec

from service.contracts.messages import Document, Reply
from service.contracts.registry import Contract, Registry
from service.domain.access import Scope
from service.domain.datasets import Dataset, check_name
from service.formats.fitting import fits
from service.http.answers import Answer, Ask
from service.http.conditions import is_known
from service.http.openapi_columns import Described
from service.http.openapi_document import Json, openapi
from service.ports.storage import Datasets
from service.usecases.reading import missing
from service.usecases.views import View, visible

MAX_BYTES = 2 << 20
"""What all datasets may come to in a document, about; those for which there is no room are left out."""

MAX_DATASETS = 200
"""More than these are left out, too."""

MAX_DOCUMENTS = 8
"""How many documents are kept: one for each contract and state of the datasets."""


@dataclass(frozen=True, slots=True)
class _Made:
    body: bytes
    tag: str


class OpenApiResource:
    """The document of the contract that a request resolves to."""

    def __init__(self, registry: Registry, datasets: Datasets, max_bytes: int = MAX_BYTES) -> None:
        self._registry = registry
        self._datasets = datasets
        self._max_bytes = max_bytes
        self._documents: OrderedDict[Hashable, _Made] = OrderedDict()

    async def read(self, ask: Ask) -> Answer:
        """Answer with the document; only who may read data is told of columns."""
        assert ask.resolved is not None  # noqa: S101 - the operation is bound
        datasets: list[Dataset] = []
        name = ask.query.parameters.get("dataset")
        if name is not None:
            ask.caller.require(Scope.READ)
            datasets = [await self._one(check_name(name))]
        elif ask.caller.may(Scope.READ):
            datasets = await self._datasets.datasets()
        made = await self._made(ask.resolved.contract, ask.link_base, datasets, ask.day)
        tag = {"ETag": made.tag}
        if is_known(ask.request, made.tag):
            return Answer(Reply(304, None, tag))
        return Answer(Reply(200, Document(msgspec.Raw(made.body)), tag))

    def document(self, contract: Contract, link_base: str) -> Json:
        """Return the document of a contract without any dataset."""
        return openapi(self._registry, contract, link_base)

    async def _one(self, name: str) -> Dataset:
        dataset = await self._datasets.dataset(name)
        if dataset is None:
            raise missing(name)
        return dataset

    async def _made(
        self, contract: Contract, link_base: str, datasets: Sequence[Dataset], day: date | None
    ) -> _Made:
        """Return the document as bytes; it is made once, and off the loop, for it may take a while."""
        seen = [(dataset, visible(dataset.schema, day)) for dataset in datasets]
        state = tuple((dataset.name, dataset.schema.version, changes) for dataset, changes in seen)
        key = (contract.date, link_base, state)
        made = self._documents.get(key)
        if made is None:
            made = await asyncio.to_thread(self._make, contract, link_base, seen)
            self._documents[key] = made
            if len(self._documents) > MAX_DOCUMENTS:
                self._documents.popitem(last=False)
        self._documents.move_to_end(key)
        return made

    def _make(self, contract: Contract, link_base: str, seen: Sequence[tuple[Dataset, int]]) -> _Made:
        told = self._told(seen)
        document = openapi(self._registry, contract, link_base, told, len(seen) - len(told))
        body = msgspec.json.encode(document)
        # Weak: the same document may be sent compressed or not.
        return _Made(body, f'W/"{hashlib.blake2b(body, digest_size=16).hexdigest()}"')

    def _told(self, seen: Sequence[tuple[Dataset, int]]) -> list[Described]:
        """Return the datasets of which there is room to tell, in their order."""
        room, told = self._max_bytes, []
        for dataset, changes in seen[:MAX_DATASETS]:
            view = View.compile(dataset.schema, changes, fits)
            described = Described(dataset.name, view.columns, view.version)
            if described.size_bytes <= room:
                room -= described.size_bytes
                told.append(described)
        return told
