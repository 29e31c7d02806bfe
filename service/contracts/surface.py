"""What each contract declares, as a committed file: what was declared may grow, and never shrink.

The lock keeps the changes of the past as they are; this keeps their outcome, whatever makes it: an operation
that is dropped or a member that is renamed without a contract is found here. Additions break nobody.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from service.contracts.declarations import Operation
from service.contracts.registry import Registry

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: `where` (contract, operation), `what` in words, and whether it breaks a client."""

    where: str
    what: str
    breaking: bool


class Way(Enum):
    """Which way a value goes: what narrows one way widens the other."""

    SENT = "sent"
    ANSWERED = "answered"


def dump(registry: Registry) -> str:
    """Return the surface of all contracts as text; of the older ones, what differs from the newest."""
    return json.dumps(surface(registry), indent=1, sort_keys=True) + "\n"


def surface(registry: Registry) -> dict[str, Any]:
    """Return all declarations by contract and operation; of the older contracts, those that differ."""
    newest = {name: _declared(operation) for name, operation in registry.operations.items()}
    found: dict[str, Any] = {registry.newest.date.isoformat(): newest}
    for contract in registry.contracts[:-1]:
        told = {name: _declared(registry.chain(name, contract).operation) for name in registry.operations}
        found[contract.date.isoformat()] = {name: one for name, one in told.items() if one != newest[name]}
    return found


def compare(locked: Json, current: Json) -> list[Difference]:
    """Return what differs between the surfaces, the breaking first."""
    found = []
    for contract in sorted(locked):
        if contract not in current:
            found.append(Difference(contract, "the contract is gone", breaking=True))
            continue
        before, after = _whole(locked, contract), _whole(current, contract)
        for name in sorted(before | after):
            found += _operations(f"{contract} {name}", before.get(name), after.get(name))
    return sorted(found, key=lambda one: not one.breaking)


def _whole(told: Json, contract: str) -> dict[str, Any]:
    return {**told[max(told)], **told[contract]}


def _declared(operation: Operation) -> dict[str, Any]:
    declared = {
        "method": operation.method,
        "path": operation.path,
        "scope": operation.scope,
        "open": [*operation.prefixes, *(["columns"] if operation.columns else [])],
        "parameters": {f"{each.place} {each.name}": dict(each.schema) for each in operation.parameters},
        "body": dict(operation.body),
        "body_required": bool(operation.body) and operation.body_required,
        "answers": {
            str(status): {"content": dict(answer.content), "headers": sorted(answer.headers)}
            for status, answer in operation.answers.items()
        },
    }
    plain: dict[str, Any] = json.loads(json.dumps(declared))
    return plain


def _operations(where: str, before: Json | None, after: Json | None) -> Iterator[Difference]:
    if before == after:
        return
    if before is None or after is None:
        gone = after is None
        yield Difference(where, f"the operation {'is gone' if gone else 'came'}", gone)
        return
    for name in ("method", "path"):
        if before[name] != after[name]:
            yield Difference(where, f"its {name} was {before[name]}", breaking=True)
    if before["scope"] != after["scope"]:
        yield Difference(where, f"its scope was {before['scope']}", breaking=after["scope"] is not None)
    if after["body_required"] and not before["body_required"]:
        yield Difference(where, "a body is needed", breaking=True)
    for gone in set(before["open"]) - set(after["open"]):
        yield Difference(where, f"it takes no {gone} any more", breaking=True)
    yield from _members(where, "parameter", before["parameters"], after["parameters"], Way.SENT)
    yield from _members(where, "body", before["body"], after["body"], Way.SENT)
    yield from _answers(where, before["answers"], after["answers"])


def _answers(where: str, before: Json, after: Json) -> Iterator[Difference]:
    for status in sorted({*before, *after}):
        if status not in after or status not in before:
            gone = status not in after
            yield Difference(where, f"the answer {status} {'is gone' if gone else 'came'}", gone)
            continue
        one, other = before[status], after[status]
        yield from _members(f"{where} {status}", "body", one["content"], other["content"], Way.ANSWERED)
        for header in sorted(set(one["headers"]) ^ set(other["headers"])):
            gone = header in one["headers"]
            yield Difference(
                f"{where} {status}", f"the header {header} {'is gone' if gone else 'came'}", gone
            )


def _members(where: str, kind: str, before: Json, after: Json, way: Way) -> Iterator[Difference]:
    for name in sorted({*before, *after}):
        if name not in after or name not in before:
            gone = name not in after
            yield Difference(where, f"the {kind} {name} {'is gone' if gone else 'came'}", gone)
        else:
            yield from _schemas(where, name, before[name], after[name], way)


def _schemas(where: str, name: str, before: Json, after: Json, way: Way) -> Iterator[Difference]:
    """Compare two JSON Schemas member by member; what is not understood and differs may break."""
    if not before and way is Way.ANSWERED:
        return  # nothing was promised of its shape
    for member in sorted(set(before.get("properties", {})) | set(after.get("properties", {}))):
        one, other = before.get("properties", {}).get(member), after.get("properties", {}).get(member)
        if one is None or other is None:
            gone = other is None
            yield Difference(where, f"{name}: the member {member} {'is gone' if gone else 'came'}", gone)
        else:
            yield from _schemas(where, f"{name}.{member}", one, other, way)
    yield from _required(where, name, before, after, way)
    for keyword in ("type", "enum"):
        yield from _choices(where, name, keyword, (before.get(keyword), after.get(keyword)), way)
    for keyword in ("items", "additionalProperties"):
        if isinstance(before.get(keyword), dict) and isinstance(after.get(keyword), dict):
            yield from _schemas(where, f"{name}[]", before[keyword], after[keyword], way)
        elif before.get(keyword) != after.get(keyword):
            yield Difference(where, f"{name}: {keyword} differs", breaking=True)
    known = {
        "properties",
        "required",
        "type",
        "enum",
        "items",
        "additionalProperties",
        "description",
        "title",
    }
    for keyword in sorted((set(before) | set(after)) - known):
        if before.get(keyword) != after.get(keyword):
            yield Difference(where, f"{name}: {keyword} was {before.get(keyword)}", breaking=True)


def _required(where: str, name: str, before: Json, after: Json, way: Way) -> Iterator[Difference]:
    one, other = set(before.get("required", ())), set(after.get("required", ()))
    if way is Way.ANSWERED:
        for member in sorted(one - other):
            yield Difference(where, f"{name}: the member {member} may be missing", breaking=True)
    else:
        for member in sorted(other - one):
            yield Difference(where, f"{name}: the member {member} is needed", breaking=True)


def _choices(where: str, name: str, keyword: str, values: tuple[Any, Any], way: Way) -> Iterator[Difference]:
    """Compare what may be: an answer may say less, and a request may be more, than before."""
    one, other = ({json.dumps(each) for each in _listed(value)} for value in values)
    if one == other:
        return
    # Another word in an enumeration is an addition; another type is not what a client can read.
    grown = bool(other - one) and way is Way.ANSWERED and keyword == "type"
    narrowed = bool(one - other) and way is Way.SENT
    yield Difference(where, f"{name}: {keyword} was {', '.join(sorted(one)) or 'open'}", grown or narrowed)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
