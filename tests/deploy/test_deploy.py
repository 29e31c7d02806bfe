"""`aerolite deploy` from the first line to the exit code."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from service.deploy.errors import ConfigurationProblem, RolloutFailed
from service.deploy.options import Target

from . import overlays as made
from .conftest import Bench
from .kube_api import KubeApi


@pytest.fixture
async def running(bench: Bench) -> Bench:
    """Return a cluster in which the overlay runs already."""
    await bench.deploy()
    bench.api.requests.clear()
    return bench


async def test_a_first_deploy_makes_everything(bench: Bench) -> None:
    """Into an empty cluster go the namespace, the Secret, the store and the service."""
    told = await bench.deploy()

    assert bench.running() == {"aerolite:1"}
    assert bench.running("aerolite-store") == {"redis:7"}
    password = bench.live("secrets", "aerolite-store")["data"]["password"]
    assert len(base64.b64decode(password)) == 32
    assert {workload for workload, state in told.states if state.done} == {
        "Deployment/aerolite",
        "StatefulSet/aerolite-store",
    }


async def test_objects_are_applied_after_what_they_need(bench: Bench) -> None:
    """The namespace comes first, then Secrets, then the Service, the store and the service's pods."""
    await bench.deploy()

    written = [target.partition("?")[0].split("/")[-2:] for _, target in bench.api.changes]
    order = [part for pair in written for part in pair if part in {"secrets", "aerolite", "aerolite-store"}]
    assert written[0] == ["namespaces", "aerolite"]
    assert order.index("secrets") < order.index("aerolite-store")
    assert written[-1] == ["deployments", "aerolite"]


async def test_a_second_deploy_changes_nothing(running: Bench) -> None:
    """The same overlay again leaves every object in its version."""
    before = {key: obj["metadata"]["resourceVersion"] for key, obj in running.api.store.objects.items()}

    told = await running.deploy()

    after = {key: obj["metadata"]["resourceVersion"] for key, obj in running.api.store.objects.items()}
    assert after == before
    assert "Deployment/aerolite unchanged" in told.lines


async def test_a_new_image_rolls_out(running: Bench) -> None:
    """`--image` replaces the image of the service and of nothing else."""
    await running.deploy(images=("ghcr.io/somebody/aerolite:2",))

    assert running.running() == {"ghcr.io/somebody/aerolite:2"}
    assert running.running("aerolite-store") == {"redis:7"}


async def test_a_service_is_asked_under_its_first_and_newest_contract(bench: Bench) -> None:
    """The smoke test reads data under the oldest contract that is still served, and the newest."""
    await bench.deploy()

    assert bench.api.services["1"].asked == [
        ("/readyz", None),
        ("/versions", None),
        ("/data", "2023-04-01"),
        ("/data", "2026-11-20"),
    ]


async def test_without_waiting_nothing_is_asked(bench: Bench) -> None:
    """`--no-wait` ends with the last apply."""
    told = await bench.deploy(wait=False)

    assert bench.image() == "aerolite:1"
    assert not told.states
    assert not bench.api.services


async def test_an_overlay_without_the_service_has_no_smoke_test(bench: Bench) -> None:
    """Where no Service is called aerolite, ready pods are enough."""
    bench.overlays.write(made.namespace(), made.statefulset())
    await bench.deploy()

    assert bench.running("aerolite-store") == {"redis:7"}
    assert not bench.api.services


@pytest.mark.parametrize(
    ("tag", "cause"),
    [
        ("crashes", "CrashLoopBackOff of container aerolite in pod aerolite-"),
        ("not-found", "ImagePullBackOff of container aerolite in pod aerolite-"),
        ("stalls", "exceeded its progress deadline"),
        ("new-is-wrong", "GET /data under 2026-11-20 answered 500"),
        ("unready", "GET /readyz answered 503: the storage does not answer"),
        ("no-list", "GET /versions is no list of contracts"),
        ("all-sunset", "GET /versions lists no contract that is still served"),
        ("other-contract", "GET /data, asked under 2026-11-20, answered under 2023-04-01"),
        ("mute", "does not answer"),
    ],
)
async def test_a_broken_image_is_replaced_by_what_ran_before(running: Bench, tag: str, cause: str) -> None:
    """However an image fails, the command says why in one line and the old pods run on."""
    with pytest.raises(RolloutFailed) as failure:
        await running.deploy(images=(f"aerolite:{tag}",))

    sentence = str(failure.value)
    assert cause in sentence
    assert "\n" not in sentence
    assert sentence.endswith("what ran before was put back")
    assert failure.value.exit_code == 1
    assert running.image() == "aerolite:1"
    assert running.running() == {"aerolite:1"}


async def test_the_diagnosis_comes_before_the_old_pods_are_back(running: Bench) -> None:
    """Reasons, events and the crashed container's log are told while they can still be read."""
    running.api.controllers.logs["crashes"] = "STORAGE_URL is no URL\n"

    with pytest.raises(RolloutFailed) as failure:
        await running.deploy(images=("aerolite:crashes",))

    told = failure.value.remembered
    (diagnosis,) = told.diagnoses
    assert any("ended with exit code 3 (Error), restarted 2 times" in one for one in diagnosis.reasons)
    assert any("BackOff Pod/aerolite-" in event for event in diagnosis.events)
    (log,) = diagnosis.logs
    assert log.previous
    assert log.text == "previous: STORAGE_URL is no URL\n"


async def test_a_pod_that_only_waits_runs_into_the_time_limit(running: Bench) -> None:
    """What neither comes up nor fails is put back after `--timeout`."""
    with pytest.raises(RolloutFailed, match="not done after 4 s: 1 of 3 replicas are updated"):
        await running.deploy(images=("aerolite:hangs",), timeout_s=4.0)

    assert running.running() == {"aerolite:1"}


async def test_a_first_deploy_that_fails_leaves_only_what_may_hold_data(bench: Bench) -> None:
    """New workloads go, and the claim, the Secret and the namespace stay."""
    objects = (made.namespace(), made.deployment("aerolite:crashes"), made.service(), made.claim())
    bench.overlays.write(*objects)

    with pytest.raises(RolloutFailed, match="nothing ran before, and what was new is gone") as failure:
        await bench.deploy()

    assert {key[0] for key in bench.api.store.objects} - {"events"} == {
        "namespaces",
        "persistentvolumeclaims",
        "secrets",
    }
    assert "PersistentVolumeClaim/aerolite-data is new and stays: it may hold data" in (
        failure.value.remembered.lines
    )


async def test_a_crash_of_old_pods_does_not_fail_their_replacement(bench: Bench) -> None:
    """Only pods of the new template are judged, so a broken state can be repaired."""
    bench.overlays.write(made.namespace(), made.deployment("aerolite:crashes"), made.service())
    await bench.deploy(wait=False)

    await bench.deploy(images=("aerolite:2",))

    assert bench.running() == {"aerolite:2"}


async def test_a_failed_apply_is_put_back_too(running: Bench) -> None:
    """What was applied before an object that the cluster refuses after all is undone."""
    running.overlays.write(made.namespace(), made.deployment(), made.service(), made.statefulset("redis:8"))
    running.api.refused["deployments/aerolite"] = "denied by a webhook"

    with pytest.raises(RolloutFailed, match="denied by a webhook; what ran before was put back"):
        await running.deploy(images=("aerolite:2",))

    assert running.running("aerolite-store") == {"redis:7"}


async def test_a_dry_run_shows_and_changes_nothing(running: Bench) -> None:
    """`--dry-run` shows the difference to the live objects, line by line."""
    running.overlays.write(
        made.namespace(), made.deployment(replicas=5), made.service(), made.configuration(A="1")
    )
    before = dict(running.api.store.objects)

    told = await running.deploy(images=("aerolite:2",), dry_run=True)

    text = "".join(told.diffs)
    assert "-        image: aerolite:1\n+        image: aerolite:2\n" in text
    assert "-  replicas: 3\n+  replicas: 5\n" in text
    assert "--- /dev/null\n+++ next/ConfigMap/aerolite\n" in text
    assert "Service/aerolite stays as it is" in told.lines
    assert running.api.store.objects == before
    assert not running.api.changes


async def test_a_dry_run_into_a_namespace_to_come(bench: Bench) -> None:
    """What the server cannot try is shown as it was rendered, and the Secrets by their keys."""
    told = await bench.deploy(dry_run=True)

    assert "+++ next/Deployment/aerolite" in "".join(told.diffs)
    assert any("the namespace aerolite is not there yet" in line for line in told.lines)
    assert "Secret/aerolite-store would be created with password" in told.lines
    assert not bench.api.store.objects
    assert not bench.api.changes


async def test_an_object_that_the_cluster_does_not_take_stops_the_deploy(running: Bench) -> None:
    """The dry run of everything comes before the first change."""
    running.overlays.write(
        made.namespace(), made.configuration(A="1"), made.deployment(), made.service("aerolite"), made.claim()
    )
    await running.deploy()
    running.api.requests.clear()
    changed = made.claim()
    changed["spec"]["storageClassName"] = "other"
    running.overlays.write(made.namespace(), made.configuration(A="2"), made.deployment(), changed)

    with pytest.raises(ConfigurationProblem, match="does not take PersistentVolumeClaim/aerolite-data"):
        await running.deploy()

    assert not running.api.changes
    assert running.live("configmaps", "aerolite")["data"] == {"A": "1"}


async def test_a_namespace_made_for_the_dry_run_goes_with_it(bench: Bench) -> None:
    """Where the server refuses an object of a new namespace, the namespace is not left behind."""
    bench.overlays.write_secrets({})

    with pytest.raises(ConfigurationProblem, match="the pods need the Secret aerolite-store"):
        await bench.deploy()

    assert not bench.api.store.objects


async def test_a_namespace_that_nobody_makes(bench: Bench) -> None:
    """An overlay without a Namespace needs one in the cluster."""
    bench.overlays.write(made.deployment())

    with pytest.raises(ConfigurationProblem, match="no namespace aerolite, and the overlay makes none"):
        await bench.deploy()


async def test_a_namespace_that_is_going(running: Bench) -> None:
    """A namespace that is being deleted takes no deploy."""
    live = running.api.store.get("namespaces", None, "aerolite")
    live["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    with pytest.raises(ConfigurationProblem, match="is being deleted"):
        await running.deploy()


async def test_a_namespace_without_rights(running: Bench) -> None:
    """What the user may not do is said in one sentence, before anything is applied."""
    running.api.denied |= {("watch", "pods"), ("create", "pods/portforward")}

    with pytest.raises(ConfigurationProblem) as problem:
        await running.deploy()

    assert str(problem.value) == (
        "the user of stand-in may not watch pods, create pods/portforward in the namespace aerolite"
    )
    assert not running.api.changes


async def test_a_refused_apply_is_found_by_the_dry_run(running: Bench) -> None:
    """RBAC that lets a user read but not write stops the deploy before it starts."""
    running.api.denied.add(("patch", "deployments"))

    with pytest.raises(ConfigurationProblem, match='User "dev" cannot patch resource "deployments"'):
        await running.deploy()

    assert not running.api.changes


async def test_a_kind_that_the_cluster_does_not_know(bench: Bench) -> None:
    """A custom resource without its definition is named."""
    custom = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "w"}}
    bench.overlays.write(made.namespace(), custom)

    with pytest.raises(ConfigurationProblem, match=r"knows no Widget of example.org/v1, which w is"):
        await bench.deploy()
    with pytest.raises(ConfigurationProblem, match="knows no Widget"):
        await bench.deploy(dry_run=True)
    assert not bench.api.store.objects


async def test_another_namespace(bench: Bench) -> None:
    """`--namespace` moves the whole overlay, its Namespace included."""
    target = Target(namespace="elsewhere", kubeconfig=str(bench.kubeconfig))

    await bench.deploy(target=target)

    assert {space for _, space, _ in bench.api.store.objects} == {None, "elsewhere"}


async def test_conflicts_and_bad_moments_are_ridden_out(running: Bench) -> None:
    """A lost race between writers (409) and a server that is busy (503) are asked again."""
    running.api.faults |= {"conflict": 1, "unavailable": 1}

    await running.deploy(images=("aerolite:2",))

    assert running.running() == {"aerolite:2"}
    assert not +running.api.faults


async def test_an_api_server_that_goes_away_during_the_dry_run(running: Bench) -> None:
    """Nothing was applied, and that is said."""
    running.api.faults["hang up"] = 100

    with pytest.raises(ConfigurationProblem, match="nothing was applied: http"):
        await running.deploy()


async def test_a_service_that_wants_a_key_passes(running: Bench) -> None:
    """A 401 under the right contract shows that the contract works, without a key."""
    told = await running.deploy(images=("aerolite:wants-key",))

    assert "GET /data under 2023-04-01: 401, it wants a key" in told.lines


async def test_a_cluster_that_cannot_be_reached(bench: Bench, tmp_path: Path) -> None:
    """One sentence names the context and the address."""
    async with KubeApi() as gone:
        path = gone.write_kubeconfig(tmp_path / "gone")

    with pytest.raises(ConfigurationProblem, match="the API server of stand-in cannot be reached: http"):
        await bench.deploy(target=Target(kubeconfig=str(path)))
