"""What a failed deploy leaves behind: what was there before it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from service.deploy.errors import RolloutFailed
from service.deploy.resources import Resources
from service.deploy.restore import Change, put_back

from . import overlays as made
from .conftest import Bench
from .kube_api import KubeApi


def essence(bench: Bench) -> dict[Any, Any]:
    """Return what people and appliers decide of every object: all but versions and status."""
    kept = {}
    for key, obj in bench.api.store.objects.items():
        if key[0] in {"events", "replicasets", "pods", "endpointslices", "controllerrevisions"}:
            continue
        essential = copy.deepcopy({name: part for name, part in obj.items() if name != "status"})
        for bookkeeping in ("resourceVersion", "generation", "annotations"):
            essential["metadata"].pop(bookkeeping, None)
        kept[key] = essential
    return kept


async def test_everything_is_as_it_was(bench: Bench) -> None:
    """Configuration, services, claims and workloads come back, owners of fields included."""
    before_objects = (made.namespace(), made.service(), made.claim(), made.statefulset())
    bench.overlays.write(*before_objects, made.deployment(), made.configuration(A="1", B="2"))
    await bench.deploy()
    before = essence(bench)
    changed = made.service()
    changed["spec"]["ports"][0]["targetPort"] = 9090
    new_worker, new_settings = made.deployment("aerolite:1", "worker"), made.configuration(A="3", C="4")
    bench.overlays.write(
        made.namespace(),
        changed,
        made.claim(),
        made.statefulset("redis:8"),
        made.deployment("aerolite:crashes", minReadySeconds=9),
        new_worker,
        new_settings,
    )

    with pytest.raises(RolloutFailed, match="what ran before was put back"):
        await bench.deploy()

    assert essence(bench) == before
    assert bench.running("aerolite-store") == {"redis:7"}
    assert not bench.running("worker")


async def test_an_autoscaler_keeps_its_replicas(bench: Bench) -> None:
    """A number of pods that the overlay does not state is not put back to what it was."""
    deployment = made.deployment()
    del deployment["spec"]["replicas"]
    bench.overlays.write(made.namespace(), made.service(), deployment)
    await bench.deploy()
    live = copy.deepcopy(bench.live("deployments", "aerolite"))
    live["spec"]["replicas"] = 4
    bench.api.store.update(("deployments", "aerolite", "aerolite"), live, "autoscaler")

    with pytest.raises(RolloutFailed):
        await bench.deploy(images=("aerolite:crashes",))
    await bench.deploy()

    assert bench.live("deployments", "aerolite")["spec"]["replicas"] == 4


async def test_what_kubectl_applied_is_put_back_too(bench: Bench) -> None:
    """A cluster that kubectl filled gets its own image back."""
    bench.api.make_namespace()
    for plural, manifest in (("deployments", made.deployment("aerolite:0")), ("services", made.service())):
        manifest["metadata"]["namespace"] = "aerolite"
        key = (plural, "aerolite", "aerolite")
        bench.api.store.apply(key, manifest, "kubectl", force=False, dry_run=False)

    with pytest.raises(RolloutFailed, match="what ran before was put back"):
        await bench.deploy(images=("aerolite:crashes",))

    assert bench.running() == {"aerolite:0"}


async def test_a_statefulset_is_freed_of_its_broken_pod(bench: Bench) -> None:
    """A StatefulSet waits for a broken pod for ever, so that pod is deleted once the template is good."""
    await bench.deploy()
    bench.overlays.write(
        made.namespace(), made.deployment(), made.service(), made.statefulset("redis:crashes")
    )

    with pytest.raises(RolloutFailed, match=r"StatefulSet/aerolite-store: CrashLoopBackOff .* was put back"):
        await bench.deploy()

    assert bench.running("aerolite-store") == {"redis:7"}


async def test_what_cannot_be_put_back_is_told(bench: Bench) -> None:
    """One object that the cluster does not take back does not keep the others from it."""
    await bench.deploy()
    bench.overlays.write(
        made.namespace(), made.deployment("aerolite:crashes"), made.service(), made.statefulset("redis:8")
    )
    first = bench.api.store.on_write

    def then_refuse(obj: dict[str, Any]) -> None:
        first(obj)
        if obj["kind"] == "StatefulSet":
            bench.api.refused["statefulsets/aerolite-store"] = "denied by a webhook"

    bench.api.store.on_write = then_refuse

    with pytest.raises(RolloutFailed, match="is back only in part") as failure:
        await bench.deploy()

    assert "StatefulSet/aerolite-store could not be put back: denied by a webhook" in (
        failure.value.remembered.lines
    )
    assert bench.running() == {"aerolite:1"}


async def test_what_cannot_be_removed_is_told(bench: Bench) -> None:
    """A new object that may not be deleted is named."""
    await bench.deploy()
    bench.api.denied.add(("delete", "configmaps"))
    new = made.configuration(A="1")
    bench.overlays.write(made.namespace(), made.deployment("aerolite:crashes"), made.service(), new)

    with pytest.raises(RolloutFailed, match="is back only in part") as failure:
        await bench.deploy()

    lines = failure.value.remembered.lines
    assert any(line.startswith("ConfigMap/aerolite could not be removed: ") for line in lines)


async def test_what_ran_before_may_be_broken_itself(bench: Bench) -> None:
    """It is put back as it was, and said not to be ready."""
    bench.overlays.write(made.namespace(), made.deployment("aerolite:hangs"), made.service())
    await bench.deploy(wait=False)

    with pytest.raises(RolloutFailed, match="was put back, but is not ready: Deployment/aerolite: not done"):
        await bench.deploy(images=("aerolite:crashes",), timeout_s=0.5)

    assert bench.image() == "aerolite:hangs"


async def test_a_deploy_that_changed_nothing_has_nothing_to_put_back(bench: Bench) -> None:
    """The same broken overlay again fails again, and stays as it is."""
    bench.overlays.write(made.namespace(), made.deployment("aerolite:crashes"), made.service())
    await bench.deploy(wait=False)

    with pytest.raises(RolloutFailed, match="; nothing had changed"):
        await bench.deploy()

    assert bench.image() == "aerolite:crashes"


async def test_a_broken_pod_that_may_not_be_deleted(api: KubeApi, resources: Resources) -> None:
    """That a StatefulSet may wait for a broken pod for ever is told."""
    api.make_namespace()
    manifest = made.statefulset()
    manifest["metadata"]["namespace"] = "aerolite"
    before = await resources.apply(manifest)
    manifest["spec"]["template"]["spec"]["containers"][0]["image"] = "redis:crashes"
    after = await resources.apply(manifest)
    api.denied.add(("delete", "pods"))

    restored = await put_back(resources, [Change(before, after)])

    (problem,) = restored.problems
    assert problem.startswith("StatefulSet/aerolite-store may wait for a broken pod: ")


async def test_a_controller_that_does_not_see_the_change(api: KubeApi, resources: Resources) -> None:
    """A StatefulSet whose controller is away is put back, and that nobody acts on it is told."""
    api.make_namespace()
    manifest = made.statefulset()
    manifest["metadata"]["namespace"] = "aerolite"
    api.store.on_write = lambda _: None
    before = await resources.apply(manifest)
    manifest["spec"]["replicas"] = 5
    after = await resources.apply(manifest)

    restored = await put_back(resources, [Change(before, after)], controller_timeout_s=0.1)

    assert restored.problems == [
        "StatefulSet/aerolite-store was put back, and its controller does not see it"
    ]
    assert api.store.get("statefulsets", "aerolite", "aerolite-store")["spec"]["replicas"] == 2
