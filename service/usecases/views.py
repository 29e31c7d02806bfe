"""Views: what the clients of a day see of a dataset, each compiled once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property

import msgspec

from service.domain.columns import Column
from service.domain.datasets import Dataset, Schema
from service.domain.records import Batch
from service.formats.fitting import fits
from service.formats.shape import Shape, compile_shape
from service.lenses import view as algebra
from service.lenses.operations import AnyOperation
from service.ports.engine import Derivation

MAX_VIEWS = 512


class View(algebra.View):
    """What the clients of a day see of a dataset, for whoever asks questions, too."""

    lenses = ""
    """The lenses of a contract that the view has beside the dataset's changes, as text."""

    @property
    def fingerprint(self) -> str:
        """What binds a cursor to the view; empty before all changes."""
        return ("" if self.version is None else self.version.isoformat()) + self.lenses

    def listed(self) -> list[dict[str, str]]:
        """Return the columns as the API lists them."""
        return [{"name": column.name, "type": column.type.value} for column in self.columns]

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """The columns by the names that the client knows."""
        return {column.name: column for column in self.columns}

    def shape(self, *, typed: bool, fields: Sequence[str] | None = None) -> Shape | None:
        """Return what leads stored records out, or None where they go as they are; see `compile_shape`.

        Without `fields` it is made once and learns.
        """
        if fields is not None:
            return compile_shape(self.columns, typed=typed, fields=fields, lens=self.lens)
        return self._typed if typed else self._untyped

    @cached_property
    def _typed(self) -> Shape | None:
        return compile_shape(self.columns, typed=True, lens=self.lens, renamed=self.renamed)

    @cached_property
    def _untyped(self) -> Shape | None:
        return compile_shape(self.columns, typed=False, lens=self.lens, renamed=self.renamed)

    @cached_property
    def derivations(self) -> tuple[Derivation, ...] | None:
        """The columns as the engine needs them; None where they are the stored ones."""
        if self.plain:
            return None
        return tuple(
            Derivation(seen.column, seen.stored, tuple(step.data for step in seen.steps))
            for seen in self.seen
        )


class Views:
    """Knows the views of datasets; the least recently used are forgotten."""

    def __init__(self, max_views: int = MAX_VIEWS) -> None:
        self._max_views = max_views
        self._views: OrderedDict[tuple[str, int, int, str], View] = OrderedDict()

    def of(self, dataset: Dataset, day: date | None, lenses: Sequence[AnyOperation] = ()) -> View:
        """Return what is seen of a revision on a day (None is before all changes) by a contract's lenses."""
        schema = dataset.schema
        changes = visible(schema, day)
        led = msgspec.json.encode(lenses).decode() if lenses else ""
        key = (dataset.name, schema.version, changes, led)
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = View.compile(schema, changes, fits, lenses)
            view.lenses = led
            if len(self._views) > self._max_views:
                self._views.popitem(last=False)
        self._views.move_to_end(key)
        return view


def visible(schema: Schema, day: date | None) -> int:
    """Return how many of a dataset's changes are seen on a day; None is before all of them."""
    until = "" if day is None else day.isoformat()
    return sum(change["date"] <= until for change in schema.changes)


def shown(view: View, record: bytes) -> bytes:
    """Return a stored record as it is seen, its values as they were loaded."""
    shape = view.shape(typed=False)
    return record if shape is None else shape([record])[0]


def stored(view: View, batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yield records that a client has written as they are to be stored.

    Raises `TypeMismatch`, `InvalidContent`.
    """
    shape = compile_shape((), typed=False, lens=None if view.plain else view.inward)
    for batch in batches:
        yield batch if shape is None else Batch(shape(batch.records), batch.keys)
