"""Attacks: each is refused in words, and harms nobody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.domain.errors import QueryFailed
from service.ports.database import Statement

from .conftest import BOUNDS, Shelf, served
from .databases import DATABASES, Rig

ATTACKS = [(name, attack) for name, entry in DATABASES.items() for attack in entry.dialect.refused]


@pytest.mark.parametrize(("entry", "attack"), ATTACKS, indirect=["entry"])
@pytest.mark.parametrize("writing", [False, True], ids=["reading", "writing"])
async def test_an_attack_is_refused(
    request: pytest.FixtureRequest, rig: Rig, shelf: Shelf, attack: str, writing: bool
) -> None:
    """The guard refuses it to whoever may write, too, and the next statement is served."""
    dialect = request.getfixturevalue("dialect")
    await shelf.csv("landings", "name,id\nAachen,1\n")
    async with rig.open(replace(BOUNDS, timeout_s=2.0)) as database:
        with pytest.raises(QueryFailed) as refused:
            await database.run(Statement(dialect.refused[attack], (), writing), shelf.tables)
        assert refused.value.detail
        assert await served(database, shelf, "select 1 as a") is not None
        if dialect.datasets:
            found = await served(database, shelf, "select count(*) as n from landings")
            assert found is not None
            assert found.rows[0][0] == 1
