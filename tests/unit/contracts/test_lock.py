"""The lock keeps released contracts as they were."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from service.contracts import lock, registered, released
from service.contracts.changes import DeclarationError
from service.contracts.registry import Contract, Registry


@pytest.fixture(scope="module")
def registry() -> Registry:
    """Give the real contracts."""
    return registered()


def test_the_committed_lock_matches_the_code() -> None:
    """Start-up accepts what is released."""
    assert [contract.date for contract in released().contracts] == [
        date(2023, 4, 1),
        date(2023, 9, 1),
        date(2026, 11, 20),
    ]


def test_what_is_dumped_can_be_loaded(registry: Registry) -> None:
    """The file holds a line for each contract."""
    lock.verify(registry, lock.load(lock.dump(registry)))


def test_a_rewritten_contract_is_refused(registry: Registry) -> None:
    """Another description is another promise."""
    second = registry.contracts[1]
    rewritten = Contract(second.date, "Something else.", second.changes)
    changed = Registry([registry.first, rewritten, registry.newest], registry.operations.values())
    with pytest.raises(DeclarationError, match="2023-09-01 was released and has been rewritten"):
        lock.verify(changed, lock.load(lock.dump(registry)))


def test_a_contract_with_another_change_is_refused(registry: Registry) -> None:
    """What a change does is part of the digest."""
    second = registry.contracts[1]
    shorter = Contract(second.date, second.description, second.changes[:1])
    changed = Registry([registry.first, shorter, registry.newest], registry.operations.values())
    with pytest.raises(DeclarationError, match="rewritten"):
        lock.verify(changed, lock.load(lock.dump(registry)))


def test_a_missing_contract_is_refused(registry: Registry) -> None:
    """Clients live by what was released."""
    fewer = Registry(registry.contracts[:2], registry.operations.values())
    with pytest.raises(DeclarationError, match="2026-11-20 was released and is missing"):
        lock.verify(fewer, lock.load(lock.dump(registry)))


def test_a_contract_that_is_not_locked_is_refused(registry: Registry) -> None:
    """A new contract is locked when it is released, in the same commit."""
    locked = lock.load(lock.dump(registry))
    del locked[date(2026, 11, 20)]
    with pytest.raises(DeclarationError, match="2026-11-20 is not locked"):
        lock.verify(registry, locked)


def test_deprecating_a_contract_does_not_rewrite_it(registry: Registry) -> None:
    """A sunset is announced for what was promised, and changes none of it."""
    second = registry.contracts[1]
    moment = datetime(2027, 1, 1, tzinfo=UTC)
    ending = Contract(second.date, second.description, second.changes, deprecated=moment, sunset=moment)
    assert lock.digest(ending) == lock.digest(second)


def test_a_line_that_is_none_is_refused() -> None:
    """A damaged lock is no lock."""
    with pytest.raises(DeclarationError, match="Line 2"):
        lock.load("2023-04-01 abc\nnonsense\n")
