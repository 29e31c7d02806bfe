"""Against a real cluster: the current context of KUBECONFIG, which can reach the image that the overlays name.

AEROLITE_IMAGE names another; AEROLITE_IMAGE_NEXT is the one to roll to, without which the pods are replaced
by others of the same image. REDIS_IMAGE and POSTGRES_IMAGE take the place of the overlays' own. The
namespaces `aerolite` and `aerolite-load` are made and deleted, so use a cluster that is for tests.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from service.deploy.errors import RolloutFailed
from service.deploy.objects import containers
from service.deploy.options import RolloutOptions
from service.deploy.rollouts import rollout_restart, rollout_undo

from .real_cluster import MANIFESTS, RealCluster, RecordingProgress, connect, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

FIRST, NEWEST = "2023-04-01", "2026-11-20"
OVERLAYS = sorted(path.parent.name for path in MANIFESTS.glob("overlays/*/kustomization.yaml"))
STORES = {"local": ["api"], "cloud-postgres": ["postgres"], "full": ["redis", "postgres"]}
RECORDS = [{"name": f"stone {number}", "mass": f"{number}.50"} for number in range(1000)]
CSV = "name,mass\n" + "".join(f"{record['name']},{record['mass']}\n" for record in RECORDS)
LEAST_REQUESTS = 5_000


@pytest.fixture
async def cluster() -> AsyncIterator[RealCluster]:
    """Return a cluster without the service, and leave it so."""
    async with connect() as real:
        await real.wipe()
        await real.offer_storage_class("premium-rwo")
        yield real
        await real.wipe()


async def load_records(cluster: RealCluster) -> None:
    """Load the records under the first contract."""
    async with cluster.service(FIRST) as session:
        headers = {"Content-Type": "text/csv"}
        async with session.post("/data", data=CSV.encode(), headers=headers) as response:
            assert response.status == 200, await response.text()


async def records_are_there(cluster: RealCluster) -> None:
    """Wait until the records can be read, and compare each."""
    answers: list[tuple[int, str]] = []

    async def readable() -> bool:
        async with cluster.service(FIRST) as session, session.get("/data") as response:
            answers.append((response.status, await response.text()))
        # A store that comes back is answered for with 503 until it is there.
        assert answers[-1][0] in (200, 503), answers[-1]
        return answers[-1][0] == 200

    await until(readable, "the records")
    assert json.loads(answers[-1][1]) == RECORDS


async def running_images(cluster: RealCluster) -> set[str]:
    """Return the images that the API's pods run."""
    return {one["image"] for pod in await cluster.pods("api") for one in containers(pod)}


@pytest.mark.parametrize("overlay", OVERLAYS)
async def test_an_overlay_keeps_its_data_when_its_store_dies(cluster: RealCluster, overlay: str) -> None:
    """Each overlay comes up, changes nothing when it is deployed again, and survives its store's pod."""
    await cluster.deploy(overlay)
    await load_records(cluster)
    await records_are_there(cluster)

    again = await cluster.deploy(overlay, dry_run=True)
    assert again.diffs == []

    for store in STORES.get(overlay, ["redis"]):
        await cluster.kill(store)
        await records_are_there(cluster)


async def test_a_rollout_under_load_loses_no_request(cluster: RealCluster) -> None:
    """Forty clients, half of them with connections kept alive, get every answer while pods are replaced."""
    await cluster.deploy("cloud-redis")
    await load_records(cluster)
    following = cluster.images.next or cluster.images.service
    options = RolloutOptions(cluster.target)

    async with cluster.load(NEWEST) as load:
        await load.more(LEAST_REQUESTS // 5)
        if following == cluster.images.service:
            await rollout_restart(options, RecordingProgress())
        else:
            await cluster.deploy("cloud-redis", following)
        assert await running_images(cluster) == {following}
        await rollout_undo(options, None, RecordingProgress())
        counts = await load.more(LEAST_REQUESTS)

    print(f"{sum(counts.values())} requests: {counts}")
    assert set(counts) == {"answered"}
    assert await running_images(cluster) == {cluster.images.service}


@pytest.mark.parametrize("broken", ["no such image", "another program"])
async def test_a_broken_image_is_put_back(cluster: RealCluster, broken: str) -> None:
    """An image that cannot be pulled, or cannot start, fails the deploy and leaves the old pods at work."""
    await cluster.deploy("cloud-redis")
    await load_records(cluster)
    (redis,) = await cluster.pods("redis")
    image = redis["spec"]["containers"][0]["image"] if broken == "another program" else "aerolite:no-such-tag"

    with pytest.raises(RolloutFailed, match="what ran before was put back") as failure:
        await cluster.deploy("cloud-redis", image)

    assert "\n" not in str(failure.value)
    assert failure.value.exit_code == 1
    assert await running_images(cluster) == {cluster.images.service}
    await records_are_there(cluster)
