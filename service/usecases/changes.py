"""Changes: the owner of a dataset declares how its columns are seen from a day on."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from service.domain.datasets import Dataset, Schema
from service.domain.errors import Busy, InvalidChange
from service.domain.wording import quoted
from service.formats.fitting import fits
from service.formats.shape import compile_shape
from service.lenses.change import Change, draft_of, read_change, read_changes
from service.lenses.draft import Condition
from service.lenses.tokens import NULL, text_of
from service.ports.clock import Clock
from service.ports.storage import NO_GUARD, Datasets, Guard, SchemaChanged
from service.usecases.reading import missing
from service.usecases.views import View

MAX_CHANGES = 1000
REHEARSED_RECORDS = 5

_ATTEMPTS = 16

_members = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a change would do: `rows` are records before and after it, `views` what is seen of them."""

    dataset: Dataset
    change: Change
    views: tuple[View, View]
    rows: Sequence[tuple[bytes, bytes]]

    def as_document(self) -> dict[str, Any]:
        """Return it as a JSON document, old and new side by side."""
        before, after = self.views
        return {
            "dataset": self.dataset.name,
            **self.change.as_document(),
            "columns": {"before": before.listed(), "after": after.listed()},
            "rows": [{"before": msgspec.Raw(old), "after": msgspec.Raw(new)} for old, new in self.rows],
        }


class Changing:
    """Declares changes of datasets' columns."""

    def __init__(self, datasets: Datasets, clock: Clock) -> None:
        self._datasets = datasets
        self._clock = clock

    async def declared(self, name: str) -> tuple[Dataset, tuple[Change, ...]]:
        """Return a dataset and its changes, oldest first. Raises `DatasetNotFound`."""
        dataset = await self._dataset(name)
        return dataset, read_changes(dataset.schema)

    async def declare(self, name: str, document: object, guard: Guard = NO_GUARD) -> tuple[Dataset, Change]:
        """Store a change, after a look at every record where that is needed.

        Raises `DatasetNotFound`, `PreconditionFailed`, and `InvalidChange` with the place of what cannot be.
        """
        change = read_change(document)
        for _ in range(_ATTEMPTS):
            dataset = await self._dataset(name)
            schema, _at = await self._planned(dataset, change)
            same = replace(guard, schema_version=dataset.schema.version)
            try:
                commit = await self._datasets.put_schema(name, schema, same)
            except SchemaChanged:
                continue
            return commit.dataset, change
        raise Busy("The dataset's columns are being changed by others; try again.")

    async def rehearse(self, name: str, document: object) -> Rehearsal:
        """Return what a change would do to the first records. Raises what `declare` does."""
        change = read_change(document)
        dataset = await self._dataset(name)
        schema, at = await self._planned(dataset, change)
        found = await self._datasets.slice(name, limit=REHEARSED_RECORDS)
        before, after = View.compile(schema, at, fits), View.compile(schema, at + 1, fits)
        rows = zip(_typed(before, found.records), _typed(after, found.records), strict=True)
        return Rehearsal(dataset, change, (before, after), list(rows))

    async def _dataset(self, name: str) -> Dataset:
        dataset = await self._datasets.dataset(name)
        if dataset is None:
            raise missing(name)
        return dataset

    async def _planned(self, dataset: Dataset, change: Change) -> tuple[Schema, int]:
        """Return the schema with one more change, and how many stand before it. Raises `InvalidChange`."""
        self._check_date(dataset, change)
        schema, at, conditions = planned(dataset.schema, change)
        if conditions:
            async with self._datasets.snapshot(dataset.name) as snapshot:
                async for part in snapshot.scan():
                    await asyncio.to_thread(_check_records, part.records, conditions)
        return schema, at

    def _check_date(self, dataset: Dataset, change: Change) -> None:
        today = self._clock.now().date()
        new = dataset.created is not None and dataset.created.date() >= today
        if change.date > today or (change.date == today and new):
            return
        raise InvalidChange(
            f"A change is announced: its date lies behind today, which is {today} (UTC), or is the day on "
            "which the dataset was created. Clients may see the columns of that day already.",
            pointer="/date",
        )


Placed = tuple[str, Condition]


def planned(schema: Schema, change: Change) -> tuple[Schema, int, list[Placed]]:
    """Return the schema with one more change, how many stand before it, and what the records must show.

    Raises `InvalidChange`, also where a change that was declared for a later day would no longer work.
    """
    if len(schema.changes) >= MAX_CHANGES:
        raise InvalidChange(f"A dataset has {MAX_CHANGES} changes at most.")
    changes = list(read_changes(schema))
    draft = draft_of(schema.columns, changes, key=schema.key, fits=fits)
    at = bisect_right(changes, change.date, key=lambda each: each.date)
    changes.insert(at, change)
    for each in changes[:at]:
        each.apply(draft)
    conditions = change.apply(draft, strict=True)
    for each in changes[at + 1 :]:
        try:
            conditions += [("/date", condition) for _, condition in each.apply(draft, strict=True)]
        except InvalidChange as error:
            raise InvalidChange(
                f"The change of {each.date} would no longer work: {error.detail}", pointer="/date"
            ) from None
    documents = tuple(each.as_document() for each in changes)
    return replace(schema, columns=tuple(draft.stored.values()), changes=documents), at, conditions


def _check_records(records: Sequence[bytes], conditions: Sequence[Placed]) -> None:
    """Raise `InvalidChange` where a value would be lost."""
    rows = _members.decode(b"[%b]" % b",".join(records))
    for place, condition in conditions:
        before, step = condition.before, condition.step
        for row in rows:
            token = before.get(bytes(row.get(before.stored, NULL)))
            if step.loses(token):
                value = quoted((text_of(token) or token).decode())
                raise InvalidChange(
                    f'{value} stands in a record and could not come back: say "lossy": true if that may be.',
                    pointer=place,
                )


def _typed(view: View, records: Sequence[bytes]) -> Sequence[bytes]:
    shape = compile_shape(view.columns, typed=True, lens=view.lens)
    return records if shape is None else shape(records)
