"""What differs between two contracts, told from their declarations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from service.contracts.changes import Change, Kind
from service.contracts.declarations import Answer, Operation
from service.contracts.registry import Contract, Registry


@dataclass(frozen=True, slots=True)
class ChangeNote:
    """A change for the changelog. `breaking`: who moves over it must look at what it sends or reads."""

    version: str
    name: str
    description: str
    breaking: bool
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class OperationNote:
    """One operation that two contracts declare differently."""

    before: Operation
    after: Operation
    typed_before: bool
    typed_after: bool

    @property
    def parameters_added(self) -> list[str]:
        """The query parameters that came."""
        return sorted(self.after.query - self.before.query)

    @property
    def parameters_removed(self) -> list[str]:
        """The query parameters that went."""
        return sorted(self.before.query - self.after.query)


def notes(registry: Registry, contract: Contract) -> list[ChangeNote]:
    """Return what a contract changed from the one before it."""
    return [
        ChangeNote(
            version=contract.date.isoformat(),
            name=change.__name__,
            description=" ".join(change.description.split()),
            breaking=is_breaking(registry, contract, change),
            operations=tuple(registry.operations[name] for name in sorted(change.touched())),
        )
        for change in contract.changes
    ]


def between(registry: Registry, older: Contract, newer: Contract) -> list[ChangeNote]:
    """Return all changes behind the older contract up to the newer."""
    passed = [each for each in registry.contracts if older.date < each.date <= newer.date]
    return [note for contract in passed for note in notes(registry, contract)]


def operations_between(
    registry: Registry, changes: Iterable[ChangeNote], older: Contract, newer: Contract
) -> Sequence[OperationNote]:
    """Return the operations that the changes touch, as both contracts have them."""
    touched = sorted({operation.id for change in changes for operation in change.operations})
    found = []
    for name in touched:
        one, other = registry.chain(name, older), registry.chain(name, newer)
        found.append(OperationNote(one.operation, other.operation, one.typed, other.typed))
    return found


def is_breaking(registry: Registry, contract: Contract, change: type[Change]) -> bool:
    """Return whether a client that moves over a change may fail; what is not proven additive may.

    Additive is: headers that came, media types and parameters that came, a default of a parameter that came.
    """
    if change.values_as_loaded or change.lenses:
        return True
    for converter in change.converters():
        if converter.kind in {Kind.DOCUMENT, Kind.ENVELOPE}:
            return True
        if converter.kind is Kind.QUERY and not all(
            _brings_parameters(change, n) for n in converter.operations
        ):
            return True
    return any(
        before.answers is not None
        and not _only_adds(before.answers, registry.chain(name, contract).operation.answers)
        for name, before in change.before.items()
    )


def _brings_parameters(change: type[Change], name: str) -> bool:
    before = change.before.get(name)
    return before is not None and bool(before.without)


def _only_adds(before: Any, after: Any) -> bool:
    """Return whether all that was answered before still is, in the same shape."""
    return all(status in after and _still(answer, after[status]) for status, answer in before.items())


def _still(before: Answer, after: Answer) -> bool:
    same_shapes = all(
        media_type in after.content and (not shape or shape == after.content[media_type])
        for media_type, shape in before.content.items()
    )
    return same_shapes and before.headers.keys() <= after.headers.keys()
