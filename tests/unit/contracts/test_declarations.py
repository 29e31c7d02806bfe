"""Declarations that cannot work fail at import, each with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import ClassVar

import pytest

from service.contracts.changes import Change, DeclarationError, document, envelope, head, query
from service.contracts.declarations import Answer, Before, Operation, Parameter
from service.contracts.differences import notes
from service.contracts.messages import Document, Query, Records, Reply, Text
from service.contracts.registry import Contract, Registry
from service.lenses.operations import Hide, Rename

READ = Operation(
    "read", "GET", "/r", "Read.",
    parameters=(Parameter("limit", "How many."),), streamed=True, columns=True,
)  # fmt: skip
WRITE = Operation("write", "POST", "/w", "Write.")
PROBE = Operation("probe", "GET", "/p", "Probe.", bound=False)
OPERATIONS = (READ, WRITE, PROBE)
FIRST = Contract(date(2020, 1, 1), "First.")


def registry(*changes: type[Change]) -> Registry:
    """Return two contracts of which the second has these changes."""
    return Registry([FIRST, Contract(date(2021, 1, 1), "Second.", changes)], OPERATIONS)


def no_description() -> None:
    """Declare a change that says nothing."""

    class Silent(Change):
        values_as_loaded = frozenset({"read"})


def blank_description() -> None:
    """Declare a change that says as good as nothing."""

    class Blank(Change):
        description = "  "
        values_as_loaded = frozenset({"read"})


def nothing_changed() -> None:
    """Declare a change that changes nothing."""

    class Idle(Change):
        description = "Idle."


def unknown_operation() -> None:
    """Bind a converter to an operation that is not there."""

    class Lost(Change):
        description = "Lost."

        @head("raed")
        def change(reply: Reply) -> None:
            """Change."""

    registry(Lost)


def version_free_operation() -> None:
    """Bind a converter to an operation that has no contract."""

    class Free(Change):
        description = "Free."

        @head("probe")
        def change(reply: Reply) -> None:
            """Change."""

    registry(Free)


def bound_to_nothing() -> None:
    """Bind a converter to no operation at all."""

    class Unbound(Change):
        description = "Unbound."
        values_as_loaded = frozenset({"read"})

        @head()
        def change(reply: Reply) -> None:
            """Change."""

    registry(Unbound)


def whole_body_of_a_stream() -> None:
    """Ask for the whole body of a streamed operation."""

    class Greedy(Change):
        description = "Greedy."

        @document("read")
        def change(body: Document) -> Document:
            """Change."""
            return body

    registry(Greedy)


def envelope_of_a_document() -> None:
    """Ask for the envelope of an operation that streams nothing."""

    class Wrapped(Change):
        description = "Wrapped."

        @envelope("write")
        def change(records: Records) -> Records:
            """Change."""
            return records

    registry(Wrapped)


def untyped_document() -> None:
    """Say that an operation without records had untyped values."""

    class Untyped(Change):
        description = "Untyped."
        values_as_loaded = frozenset({"write"})

    registry(Untyped)


def lenses_of_a_document() -> None:
    """Lead columns where there are none."""

    class Led(Change):
        description = "Led."
        lenses: ClassVar = {"write": (Hide("a"),)}

    registry(Led)


def no_lens() -> None:
    """Lead columns by nothing."""

    class Unled(Change):
        description = "Unled."
        lenses: ClassVar = {"read": ()}

    registry(Unled)


def without_an_unknown_parameter() -> None:
    """Say that a parameter was not there yet that never came."""

    class Without(Change):
        description = "Without."
        before = {"read": Before(without=frozenset({"lmiit"}))}  # noqa: RUF012 - as contracts write it

    registry(Without)


class Fine(Change):
    """A change that works."""

    description = "Fine."
    values_as_loaded = frozenset({"read"})


DAY = date(2021, 1, 1)
MOMENT = datetime(2025, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("declare", "sentence"),
    [
        (no_description, "Silent has no description"),
        (blank_description, "Blank has no description"),
        (nothing_changed, "Idle changes nothing"),
        (unknown_operation, "unknown operation 'raed'; known: probe, read, write"),
        (version_free_operation, "version-free"),
        (bound_to_nothing, "Unbound.change applies to nothing"),
        (whole_body_of_a_stream, "whole body of 'read', which is streamed"),
        (envelope_of_a_document, "declares an envelope for 'write'"),
        (untyped_document, "'write' serves no records"),
        (lenses_of_a_document, "'write' reads no columns"),
        (no_lens, "the lenses of 'read' are none"),
        (without_an_unknown_parameter, "has no parameter lmiit"),
        (lambda: Registry([], OPERATIONS), "no contract"),
        (lambda: Registry([FIRST, FIRST], OPERATIONS), "registered twice"),
        (lambda: Registry([Contract(DAY, "A.", (Fine,)), FIRST], OPERATIONS), "sort them by date"),
        (lambda: Registry([Contract(DAY, "A.", (Fine,))], OPERATIONS), "nothing that it could change"),
        (lambda: Registry([FIRST, Contract(DAY, "A.")], OPERATIONS), "2021-01-01 changes nothing"),
        (lambda: Contract(DAY, " "), "2021-01-01 has no description"),
        (lambda: Contract(DAY, "A.", sunset=MOMENT), "never deprecated"),
        (
            lambda: Contract(DAY, "A.", deprecated=MOMENT.replace(tzinfo=None)),
            "`deprecated` has no time zone",
        ),
        (lambda: Contract(DAY, "A.", deprecated=MOMENT, guide="javascript:x"), "`guide` is a URL"),
        (lambda: Contract(DAY, "A.", deprecated=MOMENT, guide="https://x/>\r\nA: b"), "`guide` is a URL"),
        (
            lambda: Registry([Contract(DAY, "A.", deprecated=MOMENT)], OPERATIONS),
            "where should its clients go",
        ),
        (lambda: Contract(DAY, "A.", deprecated=LATER, sunset=MOMENT), "sunset before its deprecation"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(declare: Callable[[], object], sentence: str) -> None:
    """The sentence says what is wrong and where."""
    with pytest.raises(DeclarationError, match=sentence):
        declare()


class Envelope(Change):
    """The older reading had no envelope and no `limit`."""

    description = "Envelope."
    before = {  # noqa: RUF012 - as contracts write it
        "read": Before({200: Answer("Bare.")}, without=frozenset({"limit"}))
    }

    @query("read")
    def more(query: Query) -> None:
        """Note the way up."""
        query.parameters["way"] = query.parameters.get("way", "") + "2"

    @head("read")
    def counted(reply: Reply) -> None:
        """See the body before it is changed."""
        assert isinstance(reply.body, Records)
        reply.headers["X-Count"] = str(reply.body.members["count"])

    @envelope("read")
    def bare(records: Records) -> Records:
        """Take the envelope away."""
        return Records({}, slot=None)


class Sentence(Change):
    """The older writing answered by text."""

    description = "Sentence."

    @document("write")
    def text(body: Document) -> Text:
        """Say it in words."""
        return Text(f"{body.value} done")


class Untyped(Change):
    """The oldest reading had no types."""

    description = "Untyped."
    values_as_loaded = frozenset({"read"})

    @query("read")
    def first(query: Query) -> None:
        """Note the way up."""
        query.parameters["way"] = query.parameters.get("way", "") + "1"

    @head("read")
    def last(reply: Reply) -> None:
        """Note the way down."""
        reply.headers["X-Last"] = reply.headers["X-Count"]


@pytest.fixture
def three() -> Registry:
    """Give three contracts."""
    middle = Contract(date(2021, 1, 1), "Second.", (Untyped,))
    newest = Contract(date(2022, 1, 1), "Third.", (Envelope, Sentence))
    return Registry([FIRST, middle, newest], OPERATIONS)


def test_the_newest_contract_needs_no_migration(three: Registry) -> None:
    """The code serves the newest contract as it is."""
    chain = three.chain("read", three.newest)
    asked, reply = Query({}), Reply(200, Records({"count": 3}))
    chain.upgrade(asked)
    chain.downgrade(reply)
    assert (asked.parameters, reply.headers, chain.typed) == ({}, {}, True)
    assert chain.operation is READ


def test_a_query_climbs_from_the_oldest_contract_and_a_reply_descends_to_it(three: Registry) -> None:
    """Requests migrate upward oldest first, replies downward newest first."""
    chain = three.chain("read", three.first)
    asked, reply = Query({}), Reply(200, Records({"count": 3}))
    chain.upgrade(asked)
    chain.downgrade(reply)
    assert asked.parameters == {"way": "12"}
    assert reply.headers == {"X-Count": "3", "X-Last": "3"}
    assert reply.body == Records({}, slot=None)
    assert chain.typed is False


def test_a_contract_in_the_middle_sees_only_what_came_after_it(three: Registry) -> None:
    """A client of the second contract keeps types and loses the envelope."""
    chain = three.chain("read", three.contracts[1])
    assert chain.typed is True
    assert chain.operation.query == frozenset()
    assert chain.operation.answers[200].description == "Bare."


def test_operations_that_a_change_does_not_name_are_left_alone(three: Registry) -> None:
    """A change touches nothing but what it is bound to."""
    reply = Reply(200, Document("42"))
    three.chain("write", three.newest).downgrade(reply)
    assert reply.body == Document("42")
    three.chain("write", three.contracts[1]).downgrade(reply)
    assert reply.body == Text("42 done")


def test_lenses_of_several_contracts_follow_one_another() -> None:
    """A query of the oldest contract is handed those of the newest change first; one of the newest gets none."""

    class Later(Change):
        description = "Later."
        lenses: ClassVar = {"read": (Rename("c", "b"),)}

    class Earlier(Change):
        description = "Earlier."
        lenses: ClassVar = {"read": (Rename("b", "a"), Hide("x"))}

    made = Registry(
        [FIRST, Contract(date(2021, 1, 1), "B.", (Earlier,)), Contract(date(2022, 1, 1), "C.", (Later,))],
        OPERATIONS,
    )
    found = []
    for contract in made.contracts:
        asked = Query({})
        made.chain("read", contract).upgrade(asked)
        found.append(asked.lenses)
    assert found == [(Rename("c", "b"), Rename("b", "a"), Hide("x")), (Rename("c", "b"),), ()]
    assert all(note.breaking for contract in made.contracts for note in notes(made, contract))
