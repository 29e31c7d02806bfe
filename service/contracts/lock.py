"""The lock: released contracts and a digest of each, so that the past cannot be rewritten by accident.

A digest covers what a contract's changes do and say, not its comments, layout or sunset: deprecating an old
contract is a promise kept, changing what it did is not.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import tokenize
from collections.abc import Mapping
from datetime import date

from service.contracts.changes import DeclarationError
from service.contracts.registry import Contract, Registry

_LAYOUT = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
)


def digest(contract: Contract) -> str:
    """Return the SHA-256 of a contract's date, description and changes, in hex."""
    hasher = hashlib.sha256(f"{contract.date}\n{contract.description}\n".encode())
    for change in contract.changes:
        source = io.StringIO(inspect.getsource(change))
        for token in tokenize.generate_tokens(source.readline):
            if token.type not in _LAYOUT:
                hasher.update(token.string.encode() + b"\n")
    return hasher.hexdigest()


def dump(registry: Registry) -> str:
    """Return the text of the lock file: a line `DATE DIGEST` for each contract, oldest first."""
    return "".join(f"{contract.date} {digest(contract)}\n" for contract in registry.contracts)


def load(text: str) -> dict[date, str]:
    """Read the text of a lock file. Raises `DeclarationError` at a line that is none of it."""
    locked = {}
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            day, value = line.split(" ")
            locked[date.fromisoformat(day)] = value
        except ValueError:
            raise DeclarationError(f"Line {number} of the contract lock is not `DATE DIGEST`.") from None
    return locked


def verify(registry: Registry, locked: Mapping[date, str]) -> None:
    """Refuse a registry that rewrites or drops a released contract, or has one that is not locked.

    Raises `DeclarationError`.
    """
    actual = {contract.date: digest(contract) for contract in registry.contracts}
    for day, value in locked.items():
        if day not in actual:
            raise DeclarationError(f"Contract {day} was released and is missing: clients live by it.")
        if actual[day] != value:
            raise DeclarationError(
                f"Contract {day} was released and has been rewritten: add a new one instead."
            )
    for day in actual:
        if day not in locked:
            raise DeclarationError(f"Contract {day} is not locked: run `aerolite versions lock`.")
