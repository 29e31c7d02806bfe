"""A copy of a collection stays true, whatever happens to the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from service.deploy.errors import ApiProblem
from service.deploy.resources import Resources, collection_path
from service.deploy.watch import Mirror
from tests.waiting import PATIENCE_S, patience

from . import overlays as made
from .kube_api import KubeApi


@pytest.fixture
async def mirror(api: KubeApi, resources: Resources) -> AsyncIterator[Mirror]:
    """Return a copy of the ConfigMaps of a namespace, not yet running."""
    api.make_namespace()
    return Mirror(resources.cluster, collection_path("v1", "aerolite", "configmaps"), asyncio.Event())


def write(api: KubeApi, **data: str) -> None:
    """Change the ConfigMap in the cluster."""
    manifest = made.configuration(**data)
    manifest["metadata"]["namespace"] = "aerolite"
    api.store.put(("configmaps", "aerolite", "aerolite"), manifest)


async def data_becomes(mirror: Mirror, data: dict[str, str] | None) -> None:
    """Wait until the copy has the ConfigMap with this data, or does not have it."""
    async with patience():
        while True:
            found = mirror.objects.get("aerolite")
            if mirror.listed and (found["data"] if found else None) == data:
                return
            mirror._changed.clear()
            await mirror._changed.wait()


@pytest.fixture
async def keeping(mirror: Mirror) -> AsyncIterator[asyncio.Task[None]]:
    """Run the copy for as long as the test runs."""
    task = asyncio.ensure_future(mirror.run())
    yield task
    task.cancel()
    with suppress(asyncio.CancelledError, ApiProblem):
        await task


async def test_changes_arrive(api: KubeApi, mirror: Mirror, keeping: asyncio.Task[None]) -> None:
    """What is there, what comes, what changes and what goes."""
    await data_becomes(mirror, None)
    for text in ("1", "2"):
        write(api, A=text)
        await data_becomes(mirror, {"A": text})
    assert mirror.objects["aerolite"]["kind"] == "ConfigMap"
    api.store.delete(("configmaps", "aerolite", "aerolite"))
    await data_becomes(mirror, None)


@pytest.mark.parametrize("fault", ["drop watch", "cut watch"])
async def test_a_broken_watch_is_taken_up(
    api: KubeApi, mirror: Mirror, keeping: asyncio.Task[None], fault: str
) -> None:
    """A connection that ends within a line loses no change, and the collection is not listed again."""
    await data_becomes(mirror, None)
    api.faults[fault] = 2
    write(api, A="1")

    await data_becomes(mirror, {"A": "1"})

    assert api.faults[fault] == 0
    assert len([target for _, target in api.requests if target.endswith("configmaps")]) == 1


async def test_a_version_that_is_too_old_is_listed_anew(
    api: KubeApi, mirror: Mirror, keeping: asyncio.Task[None]
) -> None:
    """After 410 Gone, what vanished meanwhile is gone from the copy too."""
    write(api, A="1")
    await data_becomes(mirror, {"A": "1"})
    api.faults["drop watch"] = 1
    api.store.delete(("configmaps", "aerolite", "aerolite"))
    api.store.forget_history()

    await data_becomes(mirror, None)


async def test_an_expired_watch_at_the_start(
    api: KubeApi, mirror: Mirror, keeping: asyncio.Task[None]
) -> None:
    """410 right after the list makes another list."""
    api.faults["gone"] = 2
    write(api, A="1")
    await data_becomes(mirror, {"A": "1"})
    write(api, A="2")

    await data_becomes(mirror, {"A": "2"})


async def test_a_watch_that_is_forbidden(api: KubeApi, mirror: Mirror, keeping: asyncio.Task[None]) -> None:
    """A refusal that waiting does not change ends the copy."""
    api.denied.add(("watch", "configmaps"))

    with pytest.raises(ApiProblem, match="cannot watch"):
        await asyncio.wait_for(asyncio.shield(keeping), PATIENCE_S)
