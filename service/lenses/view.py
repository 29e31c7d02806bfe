"""A dataset as it is seen on a day: all changes up to then, composed into one table of columns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import NamedTuple, Self

import msgspec

from service.domain.columns import Column
from service.domain.datasets import Schema
from service.domain.errors import InvalidContent, InvalidParameter
from service.domain.wording import pointer, quoted
from service.lenses.change import draft_of, read_changes
from service.lenses.draft import Refused
from service.lenses.operations import AnyOperation
from service.lenses.seen import Passage, Seen
from service.lenses.steps import Fits

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Route(NamedTuple):
    """One member of a record on its way: its name, where it stood (None: nowhere), what is done to it."""

    name: str
    at: int | None
    passage: Passage | None


class View:
    """What the clients of a day see of a dataset, and how what they write is stored.

    `columns` in their order, `key` as they call it, `version` the day of the last change that they see.
    `lens` leads the members of stored records outward; it is None where they go as they are. Who sees a
    change sees members in the order of the columns; who sees none, in that of the record. `renamed` tells
    what the columns are called in the store, where there is nothing else to it.
    """

    def __init__(
        self,
        schema: Schema,
        seen: Mapping[str, Seen],
        *,
        names: Mapping[str, str],
        bound: Iterable[str],
        version: date | None,
    ) -> None:
        self.version = version
        self.seen = tuple(each for each in seen.values() if each.present)
        self.columns = tuple(each.column for each in self.seen)
        self._schema = schema
        self._by_name = dict(seen)
        self._by_stored = {each.stored: each for each in seen.values()}
        self._names = names
        self._bound = frozenset(bound)
        key = None if schema.key is None else self._by_stored.get(schema.key)
        self.key = schema.key if key is None else key.name
        self._defaulted = tuple(each for each in self.seen if each.defaulted)
        plain = all(each.stored == each.name and not each.steps for each in seen.values())
        self.plain = plain and len(self.seen) == len(schema.columns)
        self.lens = None if self.plain else self.outward
        straight = version is not None and not any(each.steps for each in self.seen)
        self.renamed = tuple(each.stored for each in self.seen) if straight else None
        self._places = {} if version is None else {each.name: at for at, each in enumerate(self.seen)}

    @classmethod
    def compile(cls, schema: Schema, visible: int, fits: Fits, then: Sequence[AnyOperation] = ()) -> Self:
        """Return the view of clients that see the first `visible` of a dataset's changes.

        `then` are what a contract has otherwise, applied last; an operation that cannot be, since its column
        is not there or the new name is taken, is passed over.
        """
        changes = read_changes(schema)
        draft = draft_of(schema.columns, changes, key=schema.key, fits=fits)
        for change in changes:
            change.apply(draft)
        # What the dataset has not yet is known from the beginning, also to those who see no change.
        expected = draft.expected
        draft = draft_of(schema.columns, changes, key=schema.key, fits=fits)
        draft.expect(expected)
        seen = dict(draft.seen)
        for number, change in enumerate(changes, start=1):
            change.apply(draft)
            if number == visible:
                seen = dict(draft.seen)
        if then:
            led = draft_of(schema.columns, changes, key=None, fits=fits)
            led.seen, led.strict = dict(seen), True
            for operation in then:
                with suppress(Refused):
                    operation.apply(led)
            seen = led.seen
        version = changes[visible - 1].date if visible else None
        return cls(schema, seen, names=draft.names, bound=draft.bound, version=version)

    def outward(self, names: tuple[str, ...]) -> list[Route]:
        """Return the way to the client of a stored record that has members of these names."""
        met = [(self._by_stored.get(name), at) for at, name in enumerate(names)]
        routes = [Route(seen.name, at, seen.outward) for seen, at in met if seen is not None]
        absent = [seen for seen in self._defaulted if seen.stored not in names]
        routes += [Route(seen.name, None, seen.outward) for seen in absent]
        if self._places:
            routes.sort(key=lambda route: self._places[route.name])
        return routes

    def inward(self, names: tuple[str, ...]) -> list[Route]:
        """Return the way to the store of a new record that has members of these names.

        Raises `InvalidContent` for a name that means another column; its passages raise `TypeMismatch`.
        """
        routes = []
        for at, name in enumerate(names):
            seen = self._by_name.get(name)
            routes.append(Route(self.stored_name(name), at, None if seen is None else seen.inward))
        return routes

    def stored_name(self, name: str) -> str:
        """Return what the store calls a column, known or new. Raises `InvalidContent`."""
        seen = self._by_name.get(name)
        if seen is not None:
            return seen.stored
        if name in self._names:
            raise InvalidContent(
                f"The name {quoted(name)} means another column on other days; choose a new name.",
                pointer=pointer(name),
            )
        return name

    def put(self, shown: bytes, stored: bytes) -> bytes:
        """Return the stored record after a client has replaced what it sees of it.

        Members that it does not see stay as they are, and so does what it wrote back as it was. Raises
        `TypeMismatch`, `InvalidContent`.
        """
        old = _members.decode(stored)
        members: dict[str, msgspec.Raw] = {}
        for name, raw in _members.decode(shown).items():
            seen = self._by_name.get(name)
            if seen is None:
                members[self.stored_name(name)] = raw
                continue
            before = old.get(seen.stored)
            if before is not None:
                members[seen.stored] = msgspec.Raw(seen.put(bytes(raw), bytes(before)))
            elif not seen.shows_unsaid(bytes(raw)):
                members[seen.stored] = msgspec.Raw(seen.put(bytes(raw)))
        unseen = {name for name in old if name not in self._by_stored}
        names: Iterable[str] = members
        if self._places:
            # The client does not know their order, so it says nothing about it.
            kept = (name for name in old if name in members or name in unseen)
            names = dict.fromkeys([*kept, *members])
        elif unseen:
            names = woven(list(old), list(members), unseen)
        return msgspec.json.encode({name: members.get(name, old.get(name)) for name in names})

    def stored_columns(self, shown: Sequence[Column], *, replacing: bool = False) -> tuple[Column, ...]:
        """Return the dataset's columns after a write, given those that the client sees then.

        `replacing`: all records are the client's. Columns that it does not see, or that have a default, stay
        known even so, since others go on asking for them. Raises `InvalidContent`.
        """
        old = {column.name: column for column in self._schema.columns}
        written = {}
        for column in shown:
            name = self.stored_name(column.name)
            seen = self._by_name.get(column.name)
            before = old.get(name, Column(name))
            unchanged = seen is not None and seen.column == column and not replacing
            written[name] = (
                before if unchanged else column if seen is None else seen.stored_column(before, column)
            )
        if not replacing:
            return tuple({**old, **written}.values())
        kept = {name for name in old if name not in written and self._stays(name)}
        return tuple({**old, **written}[name] for name in woven(list(old), list(written), kept))

    def _stays(self, stored: str) -> bool:
        seen = self._by_stored.get(stored)
        return seen is None or seen.defaulted

    def check_key(self, key: str | None) -> str | None:
        """Return what the store calls the key. Raises `InvalidParameter` where not all clients see it."""
        if key is None:
            return None
        stored = self.stored_name(key)
        if stored in self._bound:
            raise InvalidParameter("key", f"{quoted(key)} is changed or hidden for some clients.")
        return stored


def woven(old: Sequence[str], new: Sequence[str], kept: Collection[str]) -> list[str]:
    """Return the new names, and the old ones that are kept, each behind the one that it stood behind."""
    names = list(new)
    present = {*new, *kept}
    place = 0
    for name in old:
        if name in kept:
            names.insert(place, name)
        if name in present:
            place = names.index(name) + 1
    return names
