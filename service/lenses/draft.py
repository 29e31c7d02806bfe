"""The columns of a dataset while changes are applied to them, one operation after the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from service.domain.columns import Column
from service.domain.wording import quoted
from service.lenses.seen import Seen
from service.lenses.steps import Cast, Fits, Map


class Refused(Exception):
    """An operation that cannot be, because of its member `member`."""

    def __init__(self, member: str, reason: str) -> None:
        super().__init__(reason)
        self.member = member
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Condition:
    """What the rows must show before an operation may be: that none of them loses its value in `step`.

    `before` is the column as it is seen before the step.
    """

    before: Seen
    step: Cast | Map


class Draft:
    """What clients see so far.

    `strict`: an operation on a column that is not there raises `Refused`. Once it is declared, a change also
    goes for a file without that column, and waits for one that has it.

    `names` holds every name that clients have ever known, with the stored column that it means. It never
    comes to mean another one: a client that moves from one day to a later one would read wrong values, and
    nothing would tell it.
    """

    def __init__(
        self, columns: Iterable[Column], *, key: str | None, fits: Fits, hidden: Iterable[str]
    ) -> None:
        self.stored = {column.name: column for column in columns}
        self.key = key
        self.fits = fits
        self.strict = False
        self.conditions: list[Condition] = []
        later = set(hidden)
        self.seen = {name: Seen(column, name) for name, column in self.stored.items() if name not in later}
        self.names = {name: name for name in self.seen}
        self.bound: set[str] = set()
        """Stored columns that cannot be the key, since some client does not see them as they are."""
        self.expected: list[str] = []
        """Columns that the dataset has not, and changes speak of."""
        self._left: set[str] = set()

    def begin(self, *, strict: bool) -> None:
        """Begin another change."""
        self.strict = strict
        self._left = set()

    def find(self, name: str, member: str) -> Seen:
        """Return the column that clients see by this name now."""
        seen = self.seen.get(name)
        if seen is None:
            if self.strict:
                valid = ", ".join(map(quoted, list(self.seen)[:20]))
                raise Refused(member, f"There is no column {quoted(name)} at that point; there are {valid}.")
            self.expect([name])
            seen = self.seen[name]
        return seen

    def expect(self, names: Iterable[str]) -> None:
        """Take in columns that the dataset may have one day."""
        for name in names:
            self.expected.append(name)
            self.seen[name] = Seen(Column(name), name, present=False)
            self.names[name] = name

    def alter(self, seen: Seen, member: str) -> None:
        """Let a column be seen in another way, under the same name."""
        self.refuse_key(seen, member)
        self.seen[seen.name] = seen

    def drop(self, name: str, member: str) -> None:
        """Let a column be seen no more."""
        self.refuse_key(self.find(name, member), member)
        del self.seen[name]

    def rename(self, old: str, new: str) -> None:
        """Let a column be seen under another name, at its place."""
        seen = self.find(old, "from")
        if self.strict and old == new:
            raise Refused("to", f"{quoted(old)} is its name already.")
        if self.strict and self.names.get(new) == seen.stored and new in self._left:
            raise Refused("to", f"The renames go round in a circle, back to {quoted(new)}.")
        self.claim(new, seen.stored, "to")
        self._left.add(old)
        self.seen = {
            (new if name == old else name): (seen.renamed(new) if name == old else each)
            for name, each in self.seen.items()
        }

    def claim(self, name: str, stored: str, member: str) -> None:
        """Let a name mean a stored column from now on."""
        holder = self.names.get(name, stored)
        if holder != stored and self.strict:
            if name in self.seen:
                raise Refused(member, f"The name {quoted(name)} is taken.")
            raise Refused(
                member,
                f"{quoted(name)} named another column: clients that knew it would read wrong values.",
            )
        self.names[name] = stored

    def refuse_key(self, seen: Seen, member: str) -> None:
        """Note that a column is not seen by all as it is, which the key must be."""
        if self.strict and seen.stored == self.key:
            raise Refused(member, "The key addresses records: it can be renamed, and nothing else.")
        self.bound.add(seen.stored)
