"""Waiting for rollouts, and what ends the wait early."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from service.deploy.errors import ApiProblem, RolloutFailed
from service.deploy.follow import Overtaken, Stalled, wait_for_rollouts
from service.deploy.objects import Manifest, Ref
from service.deploy.pods import new_pods, troubles
from service.deploy.resources import Resources
from service.deploy.rollout import RolloutState
from tests.waiting import PATIENCE_S

from . import overlays as made
from .conftest import Bench
from .kube_api import KubeApi


def apply(api: KubeApi, image: str) -> Manifest:
    """Apply the Deployment with an image, as the API server answers it."""
    if ("namespaces", None, "aerolite") not in api.store.objects:
        api.make_namespace()
    manifest = made.deployment(image)
    manifest["metadata"]["namespace"] = "aerolite"
    del manifest["spec"]["template"]["spec"]["containers"][0]["env"]
    key = ("deployments", "aerolite", "aerolite")
    return api.store.apply(key, manifest, "aerolite", force=True, dry_run=False)


class Shown:
    """Remembers states, and lets a test wait for one."""

    def __init__(self) -> None:
        self.states: list[RolloutState] = []
        self.told = asyncio.Event()

    def __call__(self, workload: Ref, state: RolloutState) -> None:
        """Take a state."""
        self.states.append(state)
        self.told.set()


async def wait(
    resources: Resources, workload: Manifest, shown: Shown, timeout_s: float = PATIENCE_S
) -> asyncio.Task[None]:
    """Start to wait, and return once the first state was shown."""
    waiting = asyncio.ensure_future(wait_for_rollouts(resources.cluster, [workload], shown, timeout_s))
    await asyncio.wait([waiting, asyncio.ensure_future(shown.told.wait())], return_when="FIRST_COMPLETED")
    return waiting


async def test_a_rollout_is_watched_to_its_end(api: KubeApi, resources: Resources) -> None:
    """States come as they change, through a watch that drops and one that expired."""
    workload = apply(api, "aerolite:sleeps")
    api.faults |= {"drop watch": 3, "gone": 1}
    shown = Shown()
    waiting = await wait(resources, workload, shown)

    api.controllers.wake("aerolite", "aerolite")
    await waiting

    assert shown.states[0].message == "1 of 3 replicas are updated"
    assert shown.states[-1] == RolloutState(3, 3, "rolled out", done=True)


async def test_somebody_else_changes_the_pods(api: KubeApi, resources: Resources) -> None:
    """Another template than ours is not ours to wait for."""
    waiting = await wait(resources, apply(api, "aerolite:sleeps"), Shown())

    apply(api, "aerolite:theirs")

    with pytest.raises(Overtaken, match="Deployment/aerolite was changed by somebody else"):
        await waiting


async def test_somebody_elses_deploy_is_not_put_back(bench: Bench) -> None:
    """Who was overtaken leaves the cluster to who came later."""
    written = bench.api.store.on_write

    def meddle(obj: dict[str, Any]) -> None:
        written(obj)
        if obj["kind"] == "Deployment" and obj["metadata"]["generation"] == 1:
            theirs = copy.deepcopy(obj)
            theirs["spec"]["template"]["spec"]["containers"][0]["image"] = "aerolite:theirs"
            bench.api.store.update(("deployments", "aerolite", "aerolite"), theirs, "somebody")

    bench.api.store.on_write = meddle

    with pytest.raises(RolloutFailed, match="nothing was put back, it is theirs now"):
        await bench.deploy()

    assert bench.image() == "aerolite:theirs"


async def test_a_workload_that_vanishes(api: KubeApi, resources: Resources) -> None:
    """A Deployment that somebody deletes ends the wait."""
    waiting = await wait(resources, apply(api, "aerolite:sleeps"), Shown())

    api.store.delete(("deployments", "aerolite", "aerolite"))

    with pytest.raises(Stalled, match="it is not in the cluster any more"):
        await waiting


async def test_an_api_server_that_does_not_tell(api: KubeApi, resources: Resources) -> None:
    """A watch that is forbidden ends the wait with the refusal."""
    workload = apply(api, "aerolite:sleeps")
    api.denied.add(("watch", "pods"))

    with pytest.raises(ApiProblem, match="cannot watch"):
        await wait_for_rollouts(resources.cluster, [workload], Shown(), PATIENCE_S)


async def test_an_api_server_that_says_nothing(api: KubeApi, resources: Resources) -> None:
    """Where not even a first list comes in time, that is what is told."""
    workload = apply(api, "aerolite:sleeps")
    await resources.cluster.greet()

    with pytest.raises(Stalled, match="not done after 0 s: the API server told nothing"):
        await wait_for_rollouts(resources.cluster, [workload], Shown(), 0)


def pod(state: dict[str, Any], *, init: bool = False, **metadata: Any) -> Manifest:
    """Return a pod with one container in this state."""
    statuses = [{"name": "c", "state": state}]
    name = "initContainerStatuses" if init else "containerStatuses"
    return {"metadata": {"name": "p", **metadata}, "status": {name: statuses}}


@pytest.mark.parametrize(
    "reason",
    [
        "CrashLoopBackOff",
        "ErrImagePull",
        "ImagePullBackOff",
        "CreateContainerConfigError",
        "InvalidImageName",
    ],
)
def test_reasons_that_do_not_pass(reason: str) -> None:
    """A container that waits for one of these needs a person, in an init container too."""
    waiting = {"waiting": {"reason": reason, "message": "why"}}

    for each in (pod(waiting), pod(waiting, init=True)):
        (trouble,) = troubles([each])
        assert str(trouble) == f"{reason} of container c in pod p: why"


@pytest.mark.parametrize(
    "healthy",
    [
        pod({"waiting": {"reason": "ContainerCreating"}}),
        pod({"running": {}}),
        pod({"waiting": {"reason": "CrashLoopBackOff"}}, deletionTimestamp="2026-01-01T00:00:00Z"),
        {"metadata": {"name": "p"}},
    ],
)
def test_pods_that_may_still_come_up_or_go_anyway(healthy: Manifest) -> None:
    """Waiting is no trouble, nor is a pod that is being deleted."""
    assert not list(troubles([healthy]))


def test_pods_of_another_workload_are_not_looked_at() -> None:
    """Only pods of the workload's own newest ReplicaSet count."""
    revision = {"deployment.kubernetes.io/revision": "2"}
    workload = {"kind": "Deployment", "metadata": {"uid": "d", "annotations": revision}}

    def replicaset(uid: str, owner: str, number: str) -> Manifest:
        annotations = {"deployment.kubernetes.io/revision": number}
        return {"metadata": {"uid": uid, "ownerReferences": [{"uid": owner}], "annotations": annotations}}

    sets = [replicaset("new", "d", "2"), replicaset("old", "d", "1"), replicaset("other", "x", "2")]
    pods = [pod({}, ownerReferences=[{"uid": one}]) for one in ("new", "old", "other")]

    assert new_pods(workload, sets, [*pods, pod({})]) == pods[:1]
