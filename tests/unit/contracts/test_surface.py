"""What was declared may grow and never shrink."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service import contracts
from service.contracts import registered, surface
from service.contracts.changes import DeclarationError
from service.contracts.declarations import Answer, Operation, Parameter
from service.contracts.registry import Registry

OBJECT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "a": {"type": "string"},
        "b": {"enum": ["x", "y"]},
        "c": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["a"],
}
READ = Operation(
    "r", "POST", "/r", "Read.",
    parameters=(Parameter("p", "P.", {"enum": ["1", "2"]}),),
    body={"application/json": OBJECT, "text/csv": {}},
    body_required=False,
    answers={200: Answer("Good.", {"application/json": OBJECT}, {"X-A": "A."}), 202: Answer("Later.")},
    columns=True,
)  # fmt: skip


def compared(after: Operation | None, before: Operation | None = READ) -> list[tuple[str, bool]]:
    """Return what differs and whether it breaks."""
    first = registered().first

    def told(operation: Operation | None) -> dict[str, Any]:
        return surface.surface(Registry([first], [] if operation is None else [operation]))

    return [(one.what, one.breaking) for one in surface.compare(told(before), told(after))]


def with_answer(**members: Any) -> Operation:
    """Return the operation with another answer."""
    return replace(READ, answers={**READ.answers, 200: replace(READ.answers[200], **members)})


def shaped(way: str, **schema: Any) -> Operation:
    """Return the operation with another shape of its answer or its body."""
    content = {"application/json": {**OBJECT, **schema}}
    if way == "answer":
        return with_answer(content=content)
    return replace(READ, body={**READ.body, **content})


PROPERTIES = OBJECT["properties"]
MORE = {**PROPERTIES, "d": {"type": "string"}}
FEWER = {"a": {"type": "string"}}
BREAKING = [
    (None, "the operation is gone"),
    (replace(READ, path="/s"), "its path was /r"),
    (replace(READ, method="PUT"), "its method was POST"),
    (replace(READ, scope="admin"), "its scope was None"),
    (replace(READ, columns=False), "it takes no columns any more"),
    (replace(READ, body_required=True), "a body is needed"),
    (replace(READ, parameters=()), "the parameter query p is gone"),
    (replace(READ, parameters=(Parameter("p", "P.", {"enum": ["1"]}),)), "query p: enum was"),
    (
        replace(READ, parameters=(Parameter("p", "P.", {"enum": ["1", "2"], "maxLength": 1}),)),
        "query p: maxLength was",
    ),
    (replace(READ, body={"application/json": OBJECT}), "the body text/csv is gone"),
    (replace(READ, answers={200: READ.answers[200]}), "the answer 202 is gone"),
    (with_answer(headers={}), "the header X-A is gone"),
    (with_answer(content={}), "the body application/json is gone"),
    (shaped("answer", properties=FEWER), "the member b is gone"),
    (shaped("answer", required=[]), "the member a may be missing"),
    (shaped("answer", type=["object", "null"]), "type was"),
    (
        shaped("answer", properties={**PROPERTIES, "c": {"type": "array", "items": {"type": "string"}}}),
        "application/json.c[]: type was",
    ),
    (
        shaped("answer", properties={**PROPERTIES, "c": {"type": "array"}}),
        "application/json.c: items differs",
    ),
    (shaped("body", required=["a", "b"]), "the member b is needed"),
    (shaped("body", properties={**PROPERTIES, "b": {"enum": ["x"]}}), "application/json.b: enum was"),
]
ADDITIVE = [
    (replace(READ, parameters=(*READ.parameters, Parameter("q", "Q."))), "the parameter query q came"),
    (replace(READ, parameters=(Parameter("p", "P.", {"enum": ["1", "2", "3"]}),)), "query p: enum was"),
    (replace(READ, body={**READ.body, "text/plain": {}}), "the body text/plain came"),
    (replace(READ, answers={**READ.answers, 204: Answer("Nothing.")}), "the answer 204 came"),
    (with_answer(headers={"X-A": "A.", "X-B": "B."}), "the header X-B came"),
    (shaped("answer", properties=MORE), "the member d came"),
    (
        shaped("answer", properties={**PROPERTIES, "b": {"enum": ["x", "y", "z"]}}),
        "application/json.b: enum was",
    ),
    (shaped("body", required=[]), None),
    (shaped("answer", required=["a", "b"]), None),
    (shaped("answer", description="Other."), None),
    (with_answer(description="Other."), None),
]


@pytest.mark.parametrize(
    ("after", "what"), BREAKING, ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_narrows_is_breaking(after: Operation | None, what: str) -> None:
    """Whatever a client may rely on and finds no more."""
    found = compared(after)
    assert any(what in sentence and breaking for sentence, breaking in found), found


@pytest.mark.parametrize(
    ("after", "what"), ADDITIVE, ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_widens_is_additive(after: Operation, what: str | None) -> None:
    """Whatever a client need not know."""
    found = compared(after)
    assert not any(breaking for _, breaking in found), found
    assert what is None or any(what in sentence for sentence, _ in found), found


def test_a_new_operation_is_additive() -> None:
    """It breaks nobody, and under every contract."""
    assert compared(READ, None) == [("the operation came", False)]


def test_a_scope_that_falls_is_additive() -> None:
    """What anybody may do, its clients may too."""
    assert compared(READ, replace(READ, scope="read")) == [("its scope was read", False)]


def test_a_contract_that_is_gone_is_breaking() -> None:
    """Its clients live by it."""
    real = registered()
    fewer = Registry(real.contracts[:1], real.operations.values())
    gone = surface.compare(surface.surface(real), surface.surface(fewer))
    assert {one.where for one in gone if one.what == "the contract is gone"} == {"2023-09-01", "2026-11-20"}


def test_the_committed_surface_breaks_nobody() -> None:
    """What the code declares holds to what was locked."""
    package = Path(contracts.__file__).parent
    locked = json.loads((package / contracts.SURFACE).read_text("utf-8"))
    differences = surface.compare(locked, surface.surface(registered()))
    assert [one for one in differences if one.breaking] == []


def test_older_contracts_are_told_by_what_differs() -> None:
    """The file says once what all contracts share."""
    told = surface.surface(registered())
    assert told["2023-04-01"].keys() == {"data.read", "data.load", "data.delete"}
    assert told["2023-09-01"].keys() == {"data.read"}
    assert json.loads(surface.dump(registered())) == told


def test_a_declaration_error_is_a_sentence() -> None:
    """A registry without contracts has no surface."""
    with pytest.raises(DeclarationError):
        surface.surface(Registry([], [READ]))
