"""Which contract a request gets: each row of the design's table."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from service.contracts import registered
from service.contracts.registry import Contract, Registry
from service.contracts.resolve import Source, resolve
from service.domain import errors

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
FIRST, SECOND, NEWEST = date(2023, 4, 1), date(2023, 9, 1), date(2026, 11, 20)


@pytest.fixture(scope="module")
def registry() -> Registry:
    """Give the first three contracts: which one a day gets does not depend on those that came since."""
    real = registered()
    return Registry(real.contracts[:3], real.operations.values())


def test_no_header_and_no_key_get_the_first_contract(registry: Registry) -> None:
    """Who says nothing gets what was promised first."""
    resolved = resolve(registry, (), None, NOW)
    assert (resolved.contract.date, resolved.source, resolved.day) == (FIRST, Source.DEFAULT, FIRST)


def test_a_pin_counts_where_no_header_was_sent(registry: Registry) -> None:
    """A key gets the contract of the day of its pin."""
    resolved = resolve(registry, (), date(2024, 5, 5), NOW)
    assert (resolved.contract.date, resolved.source, resolved.day) == (SECOND, Source.PIN, date(2024, 5, 5))


def test_a_header_wins_over_a_pin(registry: Registry) -> None:
    """An explicit header is obeyed whatever the key is pinned to."""
    resolved = resolve(registry, ("2023-04-01",), date(2024, 5, 5), NOW)
    assert (resolved.contract.date, resolved.source) == (FIRST, Source.HEADER)


@pytest.mark.parametrize(
    ("sent", "contract"),
    [
        ("2023-04-01", FIRST),
        ("20230401", FIRST),
        ("2023-08-31", FIRST),
        ("2023-09-01", SECOND),
        ("2026-11-19", SECOND),
        ("2026-11-20", NEWEST),
        ("2026-12-01", NEWEST),
        (" 2026-12-01\t", NEWEST),
    ],
)
def test_a_date_gets_the_nearest_earlier_contract(registry: Registry, sent: str, contract: date) -> None:
    """A date on or between contracts, or after the newest and not in the future, gets the nearest earlier."""
    assert resolve(registry, (sent,), None, NOW).contract.date == contract


def test_the_day_asked_for_is_kept_beside_the_contract(registry: Registry) -> None:
    """A dataset's columns are seen as of the day asked for, not of the contract's."""
    assert resolve(registry, ("2025-01-01",), None, NOW).day == date(2025, 1, 1)


@pytest.mark.parametrize("sent", ["2026-12-02", "2999-01-01", "99991231"])
def test_a_future_date_is_refused(registry: Registry, sent: str) -> None:
    """What was not promised yet cannot be asked for; the error names what there is."""
    with pytest.raises(errors.VersionInFuture) as caught:
        resolve(registry, (sent,), None, NOW)
    assert caught.value.slug == "version-in-future"
    assert caught.value.members == {
        "requested": sent,
        "first": "2023-04-01",
        "latest": "2026-11-20",
        "supported": ["2023-04-01", "2023-09-01", "2026-11-20"],
    }


def test_today_begins_at_midnight_utc(registry: Registry) -> None:
    """The one clock decides what is future: a date becomes valid at 00:00 UTC of its day."""
    almost = datetime(2026, 12, 1, 23, 59, 59, tzinfo=UTC)
    with pytest.raises(errors.VersionInFuture):
        resolve(registry, ("2026-12-02",), None, almost)
    assert resolve(registry, ("2026-12-02",), None, datetime(2026, 12, 2, tzinfo=UTC)).contract.date == NEWEST


@pytest.mark.parametrize("sent", ["2023-03-31", "0001-01-01", "19991231"])
def test_a_date_before_the_first_contract_is_refused(registry: Registry, sent: str) -> None:
    """There was nothing then."""
    with pytest.raises(errors.VersionBeforeFirst) as caught:
        resolve(registry, (sent,), None, NOW)
    assert caught.value.slug == "version-before-first"


@pytest.mark.parametrize(
    "sent",
    [
        "", " ", "2026-1-5", "2026-02-30", "2023-02-29", "2026-11-20T00:00:00Z", "2026-W47-5", "2026-324",
        "٢٠٢٦-١١-٢٠", "2026/11/20", "latest", "2026-11-20Z", "+2026-11-20", "202611201", "2026-1120", "0000-01-01",
        "2026-11-20,", ",2026-11-20", "v2026-11-20", "2026-11-20\x00", "１２３４-01-01",
    ],
)  # fmt: skip
def test_anything_else_is_malformed(registry: Registry, sent: str) -> None:
    """Only `YYYY-MM-DD` and `YYYYMMDD` in ASCII digits that name a day are dates."""
    with pytest.raises(errors.VersionMalformed) as caught:
        resolve(registry, (sent,), None, NOW)
    assert caught.value.slug == "version-malformed"
    assert caught.value.members["requested"] == sent.strip(" \t")


@pytest.mark.parametrize(
    "sent", [("2023-09-01", "2023-09-01"), ("2023-09-01, 20230901",), ("2023-09-01,2023-09-01",)]
)
def test_the_header_twice_with_one_value_is_accepted(registry: Registry, sent: tuple[str, ...]) -> None:
    """A header that was doubled, by a client or a joining proxy, still names one day."""
    assert resolve(registry, sent, None, NOW).contract.date == SECOND


@pytest.mark.parametrize("sent", [("2023-09-01", "2023-04-01"), ("2023-09-01, 2023-04-01",)])
def test_the_header_twice_with_different_values_is_ambiguous(
    registry: Registry, sent: tuple[str, ...]
) -> None:
    """Nobody guesses which of two days was meant."""
    with pytest.raises(errors.VersionAmbiguous) as caught:
        resolve(registry, sent, None, NOW)
    assert caught.value.slug == "version-ambiguous"


SUNSET = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def ending(registry: Registry) -> Registry:
    """Give contracts of which the first has ended."""
    first = Contract(FIRST, "First.", deprecated=datetime(2026, 1, 1, tzinfo=UTC), sunset=SUNSET)
    return Registry([first, *registry.contracts[1:]], registry.operations.values())


@pytest.mark.parametrize(("header", "pin"), [(("2023-05-01",), None), ((), date(2023, 5, 1)), ((), None)])
def test_a_contract_past_its_sunset_is_gone_however_it_was_chosen(
    ending: Registry, header: tuple[str, ...], pin: date | None
) -> None:
    """Nobody falls forward into a shape that was not asked for."""
    with pytest.raises(errors.VersionSunset) as caught:
        resolve(ending, header, pin, SUNSET)
    assert "2026-11-20" in caught.value.detail


def test_a_contract_serves_until_its_sunset(ending: Registry) -> None:
    """The last second before the sunset is served."""
    before = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
    assert resolve(ending, (), None, before).contract.date == FIRST
