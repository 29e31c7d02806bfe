"""What an author of a contract is given to start from, and told before it is released."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from service.contracts import surface
from service.contracts.changes import DeclarationError
from service.contracts.differences import notes
from service.contracts.lock import digest
from service.contracts.registry import Registry
from service.contracts.surface import Difference

_MODULE = '''"""{date}: {description}"""

from __future__ import annotations

from datetime import date

from service.contracts.registry import Contract

# The service starts once `changes` says how the past differed: classes as in v2023_09_01.py, which
# `service/contracts/changes.py` explains. Then: aerolite versions lock
contract = Contract(
    date=date({year}, {month}, {day}),
    description={literal},
    changes=(),
)
'''


@dataclass(slots=True)
class Findings:
    """What a check found: sentences that forbid a release, and what is fine and worth knowing."""

    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def check(registry: Registry, locked: Mapping[date, str], declared: str) -> Findings:
    """Hold the contracts against what was locked: digests, and the surface as `surface.dump` wrote it."""
    found = Findings()
    for day, value in locked.items():
        contract = registry.on(day)
        if contract is None or contract.date != day:
            found.problems.append(f"{day} was released and is missing: clients live by it.")
        elif digest(contract) != value:
            found.problems.append(f"{day} was released and has been rewritten: add a contract instead.")
    for contract in registry.contracts:
        if contract.date not in locked:
            found.problems.append(f"{contract.date} is not locked: run `aerolite versions lock`.")
            found.remarks += [
                f"{contract.date} {'breaking' if note.breaking else 'additive'}: {note.description}"
                for note in notes(registry, contract)
            ]
    for difference in surface.compare(json.loads(declared), surface.surface(registry)):
        (found.problems if difference.breaking else found.remarks).append(_told(difference))
    return found


def module_name(day: date) -> str:
    """Return the name of a contract's module."""
    return f"v{day:%Y_%m_%d}"


def module_text(day: date, description: str) -> str:
    """Return the text of a new contract's module. Raises `DeclarationError` for an empty description."""
    told = " ".join(description.split())
    if not told:
        raise DeclarationError("A contract needs a description: say what changes, for clients.")
    return _MODULE.format(
        date=day,
        description=told.replace("\\", "/").replace('"', "'").rstrip(".") + ".",
        year=day.year,
        month=day.month,
        day=day.day,
        # As ruff writes it: in the quotes that need no escapes.
        literal=repr(told) if '"' in told and "'" not in told else json.dumps(told, ensure_ascii=False),
    )


def golden_text(golden: bytes, before: date, day: date) -> bytes:
    """Return a golden file of the contract before as the new one's; `--update` then shows what differs."""
    return golden.replace(f"\nAPI-Version: {before}\n".encode(), f"\nAPI-Version: {day}\n".encode())


def changelog_text(changelog: str, day: date, description: str) -> str:
    """Return the changelog with the contract in it. Raises `DeclarationError` if it has no place."""
    entry = f"- Contract {day}: {' '.join(description.split())}\n"
    heading = re.search(r"^## \[Unreleased\]\n+### Added\n+", changelog, re.MULTILINE)
    if heading is None:
        raise DeclarationError("CHANGELOG.md has no `### Added` below `## [Unreleased]`.")
    return changelog[: heading.end()] + entry + changelog[heading.end() :]


def _told(difference: Difference) -> str:
    kind = "breaking" if difference.breaking else "additive"
    return f"{difference.where} {kind}: {difference.what}"
