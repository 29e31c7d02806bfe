"""A change between two contracts: a small class that says, once and checked at import, how the past differed.

Requests migrate upward (from the client's contract to the newest), replies downward. Each converter is
declared for what it converts and bound to the operations it applies to:

    class LimitedArray(Change):
        description = "GET /data takes `limit` …"
        before = {"data.read": Before(without=frozenset({"limit"}))}

        @query("data.read")
        def everything(query: Query) -> None: …          # upward

        @head("data.read")
        def no_links(reply: Reply) -> None: …            # downward: status and headers

        @envelope("data.read")
        def bare(records: Records) -> Records: …         # downward: what stands around the records

        @document("data.load")
        def line(document: Document) -> Body: …          # downward: a whole body that is not streamed

    class TypedValues(Change):
        description = "…"
        values_as_loaded = frozenset({"data.read"})      # before this change, values were not typed

    class Grams(Change):
        description = "…"
        lenses = {"data.read": (Rename("grams", "mass (g)"),)}   # downward, per record: its columns

After Cadwyn's version changes, whose instructions fail at import too; but a request walks no list here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from service.contracts.declarations import Before, Operation
from service.contracts.messages import Body, Document, Query, Records, Reply
from service.lenses.operations import AnyOperation


class DeclarationError(Exception):
    """A contract that cannot work; raised at import, with a sentence that says what and where."""


class Kind(Enum):
    """What a converter converts."""

    QUERY = "query"
    HEAD = "head"
    ENVELOPE = "envelope"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Converter:
    """A function of a change, what it converts, and the ids of the operations that it is bound to."""

    kind: Kind
    operations: tuple[str, ...]
    function: Callable[[Any], Any]


def query(*operations: str) -> Callable[[Callable[[Query], None]], Converter]:
    """Bind a function that brings an older query up to this contract, in place."""
    return lambda function: Converter(Kind.QUERY, operations, function)


def head(*operations: str) -> Callable[[Callable[[Reply], None]], Converter]:
    """Bind a function that takes a reply's status and headers back to the older contract, in place."""
    return lambda function: Converter(Kind.HEAD, operations, function)


def envelope(*operations: str) -> Callable[[Callable[[Records], Records]], Converter]:
    """Bind a function that takes what stands around streamed records back to the older contract."""
    return lambda function: Converter(Kind.ENVELOPE, operations, function)


def document(*operations: str) -> Callable[[Callable[[Document], Body]], Converter]:
    """Bind a function that takes a whole body back to the older contract."""
    return lambda function: Converter(Kind.DOCUMENT, operations, function)


class Change:
    """Something that differs between a contract and the one before it.

    `description` is for clients and stands in the changelog. `before` says how operations were declared
    (parameters, answers) until then. `values_as_loaded` names the operations whose values were not typed.
    `lenses` are, by operation, the column operations that lead records back to how they were seen until then:
    in rows, in the header of a CSV, in filters, `sort`, `fields` and groups. An operation whose column a
    dataset has not, or whose new name it has already, is passed over.
    """

    description: ClassVar[str]
    before: ClassVar[Mapping[str, Before]] = {}
    values_as_loaded: ClassVar[frozenset[str]] = frozenset()
    lenses: ClassVar[Mapping[str, tuple[AnyOperation, ...]]] = {}

    def __init_subclass__(cls) -> None:
        """Check what can be checked without the operations."""
        if not getattr(cls, "description", "").strip():
            raise DeclarationError(f"{cls.__name__} has no description: say what changed, for clients.")
        if not (cls.converters() or cls.before or cls.values_as_loaded or cls.lenses):
            raise DeclarationError(
                f"{cls.__name__} changes nothing: give it a converter, lenses or a `before`."
            )

    @classmethod
    def converters(cls) -> tuple[Converter, ...]:
        """Return the converters, in the order of their definition."""
        return tuple(value for value in vars(cls).values() if isinstance(value, Converter))

    @classmethod
    def touched(cls) -> frozenset[str]:
        """Return the ids of the operations that the change is bound to."""
        bound = {name for converter in cls.converters() for name in converter.operations}
        return frozenset(bound | set(cls.before) | cls.values_as_loaded | set(cls.lenses))


def check(change: type[Change], operations: Mapping[str, Operation]) -> None:
    """Hold a change against the operations that exist. Raises `DeclarationError`."""
    _check_names(change, operations)
    for converter in change.converters():
        if not converter.operations:
            label = getattr(converter.function, "__name__", "a converter")
            raise DeclarationError(f"{change.__name__}.{label} applies to nothing: bind it to an operation.")
        for name in converter.operations:
            _check_kind(change, converter.kind, operations[name])
    for name, before in change.before.items():
        missing = before.without - operations[name].query
        if missing:
            listed = ", ".join(sorted(missing))
            raise DeclarationError(f"{change.__name__}: {name!r} has no parameter {listed} to be without.")


def _check_names(change: type[Change], operations: Mapping[str, Operation]) -> None:
    for name in sorted(change.touched()):
        if name not in operations:
            known = ", ".join(sorted(operations))
            raise DeclarationError(f"{change.__name__} names the unknown operation {name!r}; known: {known}.")
        if not operations[name].bound:
            raise DeclarationError(f"{change.__name__} changes {name!r}, which is version-free.")
    for name in sorted(change.values_as_loaded):
        if not operations[name].streamed:
            raise DeclarationError(f"{change.__name__}: {name!r} serves no records that could be typed.")
    for name, lenses in sorted(change.lenses.items()):
        if not operations[name].columns:
            raise DeclarationError(f"{change.__name__}: {name!r} reads no columns that a lens could lead.")
        if not lenses:
            raise DeclarationError(f"{change.__name__}: the lenses of {name!r} are none; leave them out.")


def _check_kind(change: type[Change], kind: Kind, operation: Operation) -> None:
    if kind is Kind.DOCUMENT and operation.streamed:
        raise DeclarationError(
            f"{change.__name__} asks for the whole body of {operation.id!r}, which is streamed: "
            "declare it per envelope."
        )
    if kind is Kind.ENVELOPE and not operation.streamed:
        raise DeclarationError(
            f"{change.__name__} declares an envelope for {operation.id!r}, which streams no records: "
            "declare it per document."
        )
