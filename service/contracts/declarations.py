"""What the newest contract promises of an operation; every older contract is this, described backwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

JsonSchema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter (or, with `place`, a path or header parameter) and the JSON Schema of its value."""

    name: str
    description: str
    schema: JsonSchema = field(default_factory=lambda: {"type": "string"})
    place: str = "query"


@dataclass(frozen=True, slots=True)
class Answer:
    """One status that an operation answers with: a description, and a schema for each media type."""

    description: str
    content: Mapping[str, JsonSchema] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    `streamed`: the answer is an envelope around records that may not fit in memory, so no change may ask for
    the whole body. `prefixes`: parameters that begin so name a column behind it. `columns`: a parameter that
    is none of the known may be a filter, `COLUMN` or `COLUMN.OPERATOR`. `scope` is what a caller needs; None
    needs nothing. `bound`: it answers under a contract; if not, it is version-free. `viewed`: it shows
    columns as the owner's changes have them, and `Dataset-Version` names the last of these.
    """

    id: str
    method: str
    path: str
    summary: str
    scope: str | None = None
    parameters: tuple[Parameter, ...] = ()
    body: Mapping[str, JsonSchema] = field(default_factory=dict)
    answers: Mapping[int, Answer] = field(default_factory=dict)
    streamed: bool = False
    prefixes: tuple[str, ...] = ()
    columns: bool = False
    viewed: bool = False
    bound: bool = True
    body_required: bool = True

    @property
    def query(self) -> frozenset[str]:
        """The names of the query parameters that it knows."""
        return frozenset(parameter.name for parameter in self.parameters if parameter.place == "query")


@dataclass(frozen=True, slots=True)
class Before:
    """How an operation was declared before a change: what replaces `answers`, what was not there yet."""

    answers: Mapping[int, Answer] | None = None
    without: frozenset[str] = frozenset()

    def of(self, operation: Operation) -> Operation:
        """Return the operation as it was declared before."""
        return replace(
            operation,
            answers=operation.answers if self.answers is None else _with_additions(self.answers, operation),
            parameters=tuple(p for p in operation.parameters if p.name not in self.without),
        )


ACCEPTED = 202


def _with_additions(before: Mapping[int, Answer], operation: Operation) -> Mapping[int, Answer]:
    """Return older answers with what came since under every contract, because clients must ask for it.

    That is a job instead of an answer (`Prefer: respond-async`), and more formats of streamed records.
    """
    answers = dict(before)
    if ACCEPTED in operation.answers:
        answers.setdefault(ACCEPTED, operation.answers[ACCEPTED])
    if operation.streamed:
        for status, now in operation.answers.items():
            if status in before:
                content = {**now.content, **before[status].content}
                answers[status] = replace(before[status], content=content)
    return answers
