"""`aerolite rollout status | undo | restart`."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from service.deploy.errors import ApiProblem, ConfigurationProblem
from service.deploy.follow import Stalled
from service.deploy.options import RolloutOptions
from service.deploy.rollouts import rollout_restart, rollout_status, rollout_undo
from tests.waiting import PATIENCE_S

from . import overlays as made
from .conftest import PATIENCE, Bench, Remembered


@pytest.fixture
async def twice(bench: Bench) -> Bench:
    """Return a cluster to which two images were deployed, one after the other."""
    await bench.deploy()
    changed = made.deployment("aerolite:2")
    changed["spec"]["template"]["spec"]["containers"][0]["args"] = ["--new"]
    bench.overlays.write(made.namespace(), changed, made.service(), made.statefulset("redis:8"))
    await bench.deploy()
    bench.api.requests.clear()
    return bench


def options(bench: Bench, name: str | None = None, **others: Any) -> RolloutOptions:
    """Return options for the stand-in."""
    return RolloutOptions(bench.target, name, **{"timeout_s": PATIENCE_S, **others})


async def undo(bench: Bench, name: str | None = None, revision: int | None = None) -> Remembered:
    """Undo a rollout."""
    progress = Remembered()
    await rollout_undo(options(bench, name), revision, progress, PATIENCE)
    return progress


async def test_the_status_of_everything(twice: Bench) -> None:
    """Without a name, every workload of the namespace is shown."""
    progress = Remembered()

    await rollout_status(options(twice), progress, PATIENCE)

    assert {(name, state.done) for name, state in progress.states} == {
        ("Deployment/aerolite", True),
        ("StatefulSet/aerolite-store", True),
    }


async def test_the_status_at_this_moment(bench: Bench) -> None:
    """`--no-wait` tells how far a rollout is and ends."""
    bench.overlays.write(made.namespace(), made.deployment("aerolite:hangs"))
    await bench.deploy(wait=False)
    progress = Remembered()

    await rollout_status(options(bench, "aerolite", wait=False), progress, PATIENCE)

    assert [state.message for _, state in progress.states] == ["1 of 3 replicas are updated"]


async def test_the_status_of_what_fails(bench: Bench) -> None:
    """A rollout that will not be done ends the wait, with a diagnosis."""
    bench.overlays.write(made.namespace(), made.deployment("aerolite:crashes"))
    await bench.deploy(wait=False)
    progress = Remembered()

    with pytest.raises(Stalled, match="CrashLoopBackOff"):
        await rollout_status(options(bench, "deployment/aerolite"), progress, PATIENCE)

    assert progress.diagnoses[0].logs


async def test_undo_brings_the_previous_pods_back(twice: Bench) -> None:
    """The template is the one before, to the last field; other objects stay."""
    told = await undo(twice)

    container = twice.live("deployments", "aerolite")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "aerolite:1"
    assert "args" not in container
    assert twice.running() == {"aerolite:1"}
    assert twice.image("aerolite-store", "statefulsets") == "redis:8"
    assert told.lines == ["Bring Deployment/aerolite back to revision 1"]


async def test_undo_twice_comes_back(twice: Bench) -> None:
    """What was undone is the revision before, so a second undo redoes it."""
    await undo(twice)
    await undo(twice)

    assert twice.running() == {"aerolite:2"}


async def test_undo_to_a_revision(twice: Bench) -> None:
    """`--to-revision` chooses by number, and the newest itself is no change."""
    await undo(twice, "aerolite", 2)
    assert twice.running() == {"aerolite:2"}

    await undo(twice, "aerolite", 1)
    assert twice.running() == {"aerolite:1"}


async def test_undo_of_a_statefulset(twice: Bench) -> None:
    """A StatefulSet's earlier templates are in its ControllerRevisions."""
    await undo(twice, "statefulset/aerolite-store")

    assert twice.running("aerolite-store") == {"redis:7"}


async def test_a_deploy_after_an_undo_owns_every_field(twice: Bench) -> None:
    """What an undo brought back does not stay when the next overlay does not state it."""
    await undo(twice)
    await undo(twice)
    twice.overlays.write(made.namespace(), made.deployment("aerolite:3"), made.service())

    await twice.deploy()

    container = twice.live("deployments", "aerolite")["spec"]["template"]["spec"]["containers"][0]
    assert "args" not in container


async def test_undo_of_what_others_changed(twice: Bench) -> None:
    """Where another manager's fields stand in the way, the template is replaced as kubectl does."""
    live = copy.deepcopy(twice.live("deployments", "aerolite"))
    live["spec"]["template"]["spec"]["containers"][0]["command"] = ["theirs"]
    twice.api.store.update(("deployments", "aerolite", "aerolite"), live, "kubectl-edit")

    await undo(twice)

    container = twice.live("deployments", "aerolite")["spec"]["template"]["spec"]["containers"][0]
    assert "command" not in container
    assert container["image"] == "aerolite:2"


async def test_undo_of_what_kubectl_applied(bench: Bench) -> None:
    """A Deployment that was never ours is undone too."""
    bench.api.make_namespace()
    key = ("deployments", "aerolite", "aerolite")
    for image in ("aerolite:1", "aerolite:2"):
        manifest = made.deployment(image)
        manifest["metadata"]["namespace"] = "aerolite"
        del manifest["spec"]["template"]["spec"]["containers"][0]["env"]
        bench.api.store.apply(key, manifest, "kubectl", force=True, dry_run=False)

    await undo(bench)

    assert bench.running() == {"aerolite:1"}


async def test_undo_without_an_earlier_revision(bench: Bench) -> None:
    """The first rollout has nothing before it, and an unknown number is answered with the known."""
    await bench.deploy()

    with pytest.raises(ConfigurationProblem, match="Deployment/aerolite has no earlier revision"):
        await undo(bench)
    with pytest.raises(ConfigurationProblem, match="has no revision 7; there are 1"):
        await undo(bench, None, 7)


async def test_a_template_as_older_servers_write_it(twice: Bench) -> None:
    """A null creation time, which servers before 1.34 put into templates, is no difference."""
    for replicaset in twice.api.store.of("replicasets", "aerolite"):
        replicaset["spec"]["template"]["metadata"]["creationTimestamp"] = None

    await undo(twice)

    assert twice.running() == {"aerolite:1"}
    assert all("fieldManager=aerolite&force=true" in target for _, target in twice.api.changes)


async def test_restart_replaces_the_pods(twice: Bench) -> None:
    """The same image runs in new pods."""
    before = {pod["metadata"]["name"] for pod in twice.api.store.of("pods", "aerolite")}

    await rollout_restart(options(twice), Remembered(), PATIENCE)

    after = {pod["metadata"]["name"] for pod in twice.api.store.of("pods", "aerolite")}
    assert not {name for name in before & after if "store" not in name}
    assert twice.running() == {"aerolite:2"}


async def test_without_waiting_an_undo_and_a_restart_end_at_once(twice: Bench) -> None:
    """`--no-wait` only asks for the change."""
    progress = Remembered()
    unhurried = options(twice, "aerolite", wait=False)

    await rollout_undo(unhurried, None, progress, PATIENCE)
    await rollout_restart(unhurried, progress, PATIENCE)

    assert not progress.states
    assert twice.image() == "aerolite:1"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("other", "has no Deployment or StatefulSet called other"),
        ("statefulset/aerolite", "has no StatefulSet called statefulset/aerolite"),
        ("daemonset/x", "has no workload called daemonset/x"),
        ("../secrets/x", "has no workload called ../secrets/x"),
    ],
)
async def test_a_name_that_nothing_has(twice: Bench, name: str, complaint: str) -> None:
    """A name is looked for among Deployments and StatefulSets, and nowhere else."""
    with pytest.raises(ConfigurationProblem, match=complaint):
        await rollout_status(options(twice, name), Remembered(), PATIENCE)


async def test_an_empty_namespace(bench: Bench) -> None:
    """Where nothing runs, that is said."""
    bench.api.make_namespace()

    with pytest.raises(ConfigurationProblem, match="nothing runs in the namespace aerolite"):
        await rollout_status(options(bench), Remembered(), PATIENCE)


async def test_a_restart_without_rights(twice: Bench) -> None:
    """A refusal is one sentence, and a matter of configuration."""
    twice.api.denied.add(("patch", "deployments"))

    with pytest.raises(ConfigurationProblem, match="cannot patch resource"):
        await rollout_restart(options(twice), Remembered(), PATIENCE)


async def test_a_restart_that_the_cluster_refuses_for_another_reason(twice: Bench) -> None:
    """What is no matter of rights is told as the API server says it."""
    twice.api.faults["unavailable"] = PATIENCE.attempts

    with pytest.raises(ApiProblem, match="currently unable"):
        await rollout_restart(options(twice), Remembered(), PATIENCE)
