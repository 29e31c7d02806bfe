"""Every pod of every overlay: what it may do, what it may use, how it starts and stops."""

from __future__ import annotations

import pytest

from service.settings import Settings

from .rendered import Object, Overlay, Pod, quantity

USER = 65532
SHUTDOWN_TIMEOUT_S = 10
"""The `shutdown_timeout` that the service gives aiohttp's runner, which may take it twice."""
CLOSING_S = 5
"""What is left for the worker and the storage after that."""


def containers(overlay: Overlay) -> list[tuple[Pod, Object]]:
    """List every container with its pod."""
    return [(pod, container) for pod in overlay.pods for container in pod.containers]


def settings(overlay: Overlay, pod: Pod) -> Settings:
    """Return the service's settings that need no Secret."""
    (container,) = pod.containers
    plain = overlay.environment(container).items()
    return Settings.from_env({key: text for key, text in plain if not key.endswith("_FILE")})


def test_pods_are_restricted(overlay: Overlay) -> None:
    """Each pod meets the restricted standard by itself, and shares nothing with its node."""
    for pod in overlay.pods:
        context = pod.spec["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] == context["runAsGroup"] == USER
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.spec.keys()
        kinds = {kind for volume in pod.spec["volumes"] for kind in volume.keys() - {"name"}}
        assert kinds <= {"emptyDir", "secret", "configMap", "persistentVolumeClaim"}


def test_containers_have_no_privilege_and_a_read_only_root(overlay: Overlay) -> None:
    """A container cannot gain privileges, holds no capability and writes to its volumes only."""
    for _, container in containers(overlay):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not any("hostPort" in port for port in container.get("ports", []))


def test_pods_hold_no_token_and_no_links(overlay: Overlay) -> None:
    """No pod gets a token for the API server, nor variables named after Services."""
    for pod in overlay.pods:
        assert pod.spec["automountServiceAccountToken"] is False
        assert pod.spec["enableServiceLinks"] is False
    for account in overlay.of_kind("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_containers_ask_for_resources_and_are_bounded(overlay: Overlay) -> None:
    """Each container requests and limits processor, memory and disk, the request within the limit."""
    for pod, container in containers(overlay):
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]
        assert requests.keys() == limits.keys() == {"cpu", "memory", "ephemeral-storage"}, pod.owner
        for name, request in requests.items():
            assert quantity(request) <= quantity(limits[name]), (pod.owner, name)


def test_scratch_volumes_fit_into_the_disk_limit(overlay: Overlay) -> None:
    """Every emptyDir has a bound, and together they stay below what evicts the pod."""
    for pod in overlay.pods:
        scratch = [volume["emptyDir"] for volume in pod.spec["volumes"] if "emptyDir" in volume]
        disk = sum(quantity(each["sizeLimit"]) for each in scratch if "medium" not in each)
        limits = [each["resources"]["limits"]["ephemeral-storage"] for each in pod.containers]
        assert disk <= sum(map(quantity, limits)), pod.owner


def test_probes_that_restart_differ_from_those_that_divert(overlay: Overlay) -> None:
    """Pods have a start-up and a liveness probe; where traffic comes, readiness asks otherwise."""
    for pod, container in containers(overlay):
        if pod.role == "debug":
            continue
        assert {"startupProbe", "livenessProbe"} <= container.keys(), pod.owner
        assert ("readinessProbe" in container) == bool(pod.ports), pod.owner
        assert _question(container.get("readinessProbe", {})) != _question(container["livenessProbe"])


def _question(probe: Object) -> Object:
    return {kind: probe[kind] for kind in ("httpGet", "exec", "tcpSocket") if kind in probe}


def test_probes_ask_at_ports_that_are_declared(overlay: Overlay) -> None:
    """A probe names a port of its own container."""
    for pod, container in containers(overlay):
        for key in ("startupProbe", "livenessProbe", "readinessProbe"):
            for question in _question(container.get(key, {})).values():
                assert question.get("port", "none") in {"none", *pod.ports}, pod.owner


def test_the_api_is_alive_by_its_loop_and_ready_by_its_store(overlay: Overlay) -> None:
    """The API is asked at /livez and /readyz, on the port that it listens on."""
    (container,) = overlay.pod("api").containers
    paths = [container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")]
    assert paths == ["/livez", "/livez", "/readyz"]
    assert overlay.pod("api").ports == {"http": settings(overlay, overlay.pod("api")).port}


def test_the_worker_is_alive_by_its_heartbeat(overlay: Overlay) -> None:
    """A worker's probe reads the worker's heartbeat."""
    for pod in overlay.pods:
        if pod.role == "worker":
            (container,) = pod.containers
            command = {"exec": {"command": ["aerolite", "healthcheck", "--worker"]}}
            assert _question(container["livenessProbe"]) == command


def test_the_grace_period_covers_the_drain(overlay: Overlay) -> None:
    """Kubernetes kills no earlier than the service needs: drain, twice the shutdown timeout, closing."""
    for pod in overlay.pods:
        if pod.role in {"api", "worker"}:
            drain_s = settings(overlay, pod).drain_seconds
            needed_s = drain_s + 2 * SHUTDOWN_TIMEOUT_S + CLOSING_S
            assert needed_s <= pod.spec["terminationGracePeriodSeconds"], pod.owner


def test_the_service_fits_into_its_memory(overlay: Overlay) -> None:
    """Cache, engine and the largest JSON document take at most half; requests and SQL have the rest."""
    for pod in overlay.pods:
        if pod.role in {"api", "worker"}:
            chosen = settings(overlay, pod)
            planned = chosen.cache_bytes + chosen.engine_memory_bytes + chosen.max_json_bytes
            (container,) = pod.containers
            assert planned <= quantity(container["resources"]["limits"]["memory"]) / 2, pod.owner


def test_uploads_and_spilling_fit_into_the_scratch_volume(overlay: Overlay) -> None:
    """As many uploads as are taken at once, each of the largest size, and a full spill fit into /tmp."""
    for pod in overlay.pods:
        if pod.role in {"api", "worker"}:
            chosen = settings(overlay, pod)
            needed = chosen.max_uploads * chosen.max_upload_bytes + chosen.engine_spill_bytes
            assert needed <= quantity(pod.volume("/tmp")["emptyDir"]["sizeLimit"]), pod.owner


def test_prometheus_is_told_where_the_metrics_are(overlay: Overlay) -> None:
    """The API's pods carry the scrape annotations, with the port that they listen on."""
    pod = overlay.pod("api")
    prefix = "prometheus.io/"
    told = {key.removeprefix(prefix): text for key, text in pod.annotations.items() if key.startswith(prefix)}
    assert told == {"scrape": "true", "path": "/metrics", "port": str(pod.ports["http"])}


@pytest.mark.parametrize(("text", "number"), [("250m", 0.25), ("2", 2.0), ("1Gi", 2.0**30)])
def test_quantities_are_read_as_kubernetes_does(text: str, number: float) -> None:
    """A quantity is a number with a unit."""
    assert quantity(text) == number
