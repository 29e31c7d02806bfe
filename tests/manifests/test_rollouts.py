"""How many pods there are, how they are replaced, and who keeps the data."""

from __future__ import annotations

from .reachability import selects
from .rendered import Object, Overlay, quantity

SHARED = {"cloud-redis", "cloud-postgres", "full", "gke", "aws", "full+debug"}
"""Overlays whose store replicas can share."""


def autoscaled(overlay: Overlay) -> set[str]:
    """Return the Deployments that an autoscaler owns."""
    return {each["spec"]["scaleTargetRef"]["name"] for each in overlay.of_kind("HorizontalPodAutoscaler")}


def least(overlay: Overlay, deployment: Object) -> int:
    """Return the least number of pods that a Deployment has."""
    name = deployment["metadata"]["name"]
    if name in autoscaled(overlay):
        return overlay.find("HorizontalPodAutoscaler", name)["spec"]["minReplicas"]
    return deployment["spec"]["replicas"]


def test_a_deployment_has_replicas_or_an_autoscaler(overlay: Overlay) -> None:
    """Where an autoscaler owns the number of pods the Deployment states none, elsewhere it does."""
    for each in overlay.of_kind("Deployment"):
        assert ("replicas" in each["spec"]) != (each["metadata"]["name"] in autoscaled(overlay))


def test_an_autoscaler_goes_by_cores_within_the_limit(overlay: Overlay) -> None:
    """More pods come before the event loop of one is full, though each requests little."""
    for each in overlay.of_kind("HorizontalPodAutoscaler"):
        target = each["spec"]["scaleTargetRef"]
        overlay.find(target["kind"], target["name"])
        (pod,) = [pod for pod in overlay.pods if pod.owner == f"{target['kind']}/{target['name']}"]
        for metric in each["spec"]["metrics"]:
            (container,) = pod.containers
            name, percentage = metric["resource"]["name"], metric["resource"]["target"]["averageUtilization"]
            cores = quantity(container["resources"]["requests"][name]) * percentage / 100
            assert 0.5 < cores < min(1, quantity(container["resources"]["limits"][name]))
        assert each["spec"]["minReplicas"] < each["spec"]["maxReplicas"]


def test_the_api_has_three_replicas_where_they_can_share_a_store(overlay: Overlay) -> None:
    """Three pods answer over Redis and PostgreSQL, one over SQLite."""
    api = overlay.find("Deployment", "aerolite")
    assert least(overlay, api) == (3 if overlay.name in SHARED else 1)


def test_a_rollout_never_has_fewer_pods_than_before(overlay: Overlay) -> None:
    """Replicas are replaced one by one, each after its successor has been ready for a while."""
    for each in overlay.of_kind("Deployment"):
        if overlay.name in SHARED:
            strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
            assert each["spec"]["strategy"] == strategy
            assert each["spec"]["minReadySeconds"] > 0


def test_a_file_has_one_pod_at_a_time(overlays: dict[str, Overlay]) -> None:
    """The pod over SQLite is gone before the next one starts, and nothing scales it."""
    spec = overlays["local"].find("Deployment", "aerolite")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert not overlays["local"].of_kind("HorizontalPodAutoscaler")


def test_replicas_are_spread(overlay: Overlay) -> None:
    """Pods of a Deployment prefer different nodes, counted within one revision."""
    for each in overlay.of_kind("Deployment"):
        spec = each["spec"]["template"]["spec"]
        labels = each["spec"]["template"]["metadata"]["labels"]
        topologies = set()
        for constraint in spec["topologySpreadConstraints"]:
            assert selects(constraint["labelSelector"], labels)
            # A cluster of one node must still schedule all of them.
            assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"
            assert constraint["matchLabelKeys"] == ["pod-template-hash"]
            topologies.add(constraint["topologyKey"])
        assert "kubernetes.io/hostname" in topologies


def test_budgets_select_the_pods_and_allow_a_disruption(overlay: Overlay) -> None:
    """Each Deployment has a budget for its pods alone, under which a node can still be drained."""
    budgets = overlay.of_kind("PodDisruptionBudget")
    guarded = []
    for budget in budgets:
        taken = [pod for pod in overlay.pods if selects(budget["spec"]["selector"], pod.labels)]
        (pod,) = taken
        guarded.append(pod.owner)
        assert "minAvailable" not in budget["spec"]
        assert budget["spec"]["maxUnavailable"] >= 1
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    deployments = [f"Deployment/{each['metadata']['name']}" for each in overlay.of_kind("Deployment")]
    assert sorted(guarded) == sorted(deployments)


def claims(overlay: Overlay) -> dict[str, Object]:
    """Return every claim for a volume: `workload/volume` or the name of a claim of its own."""
    own = {each["metadata"]["name"]: each for each in overlay.of_kind("PersistentVolumeClaim")}
    for each in overlay.of_kind("StatefulSet"):
        for claim in each["spec"]["volumeClaimTemplates"]:
            own[f"{each['metadata']['name']}/{claim['metadata']['name']}"] = claim
    return own


def test_every_store_has_a_volume_of_its_own(overlay: Overlay) -> None:
    """Redis, PostgreSQL and SQLite each claim a volume that one node writes."""
    expected = {f"aerolite-{store}/data" for store in ("redis", "postgres") if store in overlay.roles}
    assert claims(overlay).keys() == (expected or {"aerolite-data"})
    for claim in claims(overlay).values():
        assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
        assert claim["spec"]["resources"]["requests"]["storage"]


def test_the_data_lies_on_the_volume(overlay: Overlay) -> None:
    """Where each store writes is where its claim is mounted."""
    for pod in overlay.pods:
        (container,) = pod.containers
        environment = overlay.environment(container)
        place = {
            "redis": "/data/appendonlydir",
            "postgres": environment.get("PGDATA"),
            "api": environment.get("STORAGE_URL", "").removeprefix("sqlite:///"),
        }.get(pod.role)
        if place:
            assert "persistentVolumeClaim" in pod.volume(place), pod.owner


def test_volumes_outlive_their_workload(overlay: Overlay) -> None:
    """Deleting or scaling down a store's StatefulSet leaves its data."""
    for each in overlay.of_kind("StatefulSet"):
        policy = each["spec"].get("persistentVolumeClaimRetentionPolicy", {})
        assert set(policy.values()) <= {"Retain"}
