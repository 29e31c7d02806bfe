"""Every overlay as a whole: what is in it, where it goes, and that its objects fit together."""

from __future__ import annotations

from collections import Counter
from configparser import ConfigParser
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from .reachability import selects
from .rendered import MANIFESTS, NAMESPACE, OVERLAYS, ROOT, Object, Overlay, Pod

OLDEST_CLUSTER = "1.31"
"""The first version whose stable API has the `unhealthyPodEvictionPolicy` of budgets."""

ROLES = {
    "local": {"api"},
    "cloud-redis": {"api", "worker", "redis"},
    "cloud-postgres": {"api", "worker", "postgres"},
    "full": {"api", "worker", "redis", "postgres"},
    "gke": {"api", "worker", "redis"},
    "aws": {"api", "worker", "redis"},
    "full+debug": {"api", "worker", "redis", "postgres", "debug"},
}


def test_each_overlay_runs_the_parts_of_its_name(overlay: Overlay) -> None:
    """An overlay has just the parts that the design gives it, and each has one workload."""
    assert Counter(pod.role for pod in overlay.pods) == Counter(ROLES[overlay.name])


def test_every_component_is_used() -> None:
    """Each component is listed by an overlay; the debug pod by none, so that nobody ships it."""
    listed = {
        Path(component).name
        for name in OVERLAYS
        for component in _kustomization(MANIFESTS / "overlays" / name).get("components", [])
    }
    there = {path.parent.name for path in MANIFESTS.glob("components/*/kustomization.yaml")}
    assert there - listed == {"debug"}


def test_every_file_is_part_of_a_kustomization() -> None:
    """No manifest lies beside the kustomizations without one of them reading it."""
    files = {path for path in MANIFESTS.rglob("*") if path.is_file()}
    read = {MANIFESTS / "README.md", MANIFESTS / "secrets.yaml"}
    for path in MANIFESTS.rglob("kustomization.yaml"):
        document = _kustomization(path.parent)
        read.add(path)
        read |= {path.parent / name for name in document.get("resources", [])}
        read |= {path.parent / patch["path"] for patch in document.get("patches", []) if "path" in patch}
        for generator in document.get("configMapGenerator", []):
            names = [*generator.get("envs", []), *generator.get("files", [])]
            read |= {path.parent / name for name in names}
    assert files <= read


def _kustomization(directory: Path) -> Object:
    return yaml.safe_load((directory / "kustomization.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("version", [OLDEST_CLUSTER, kubernetes_validate.latest_version()])
def test_every_object_is_valid_in_old_and_new_clusters(overlay: Overlay, version: str) -> None:
    """Each object fits the API's own schema, with no field that the schema does not know."""
    for each in overlay.objects:
        kubernetes_validate.validate(each, version, strict=True)


def test_every_port_says_its_protocol(overlay: Overlay) -> None:
    """A server-side apply merges lists of ports by number and protocol; not every server fills that in."""
    for each in overlay.of_kind("Service"):
        assert all("protocol" in port for port in each["spec"]["ports"]), each["metadata"]["name"]
    for pod in overlay.pods:
        assert all("protocol" in port for one in pod.containers for port in one.get("ports", [])), pod.owner


def test_everything_is_in_the_namespace_aerolite(overlay: Overlay) -> None:
    """An overlay touches one namespace, which it makes itself, and nothing cluster-wide."""
    homeless = [each for each in overlay.objects if "namespace" not in each["metadata"]]
    assert [(each["kind"], each["metadata"]["name"]) for each in homeless] == [("Namespace", NAMESPACE)]
    namespaces = {each["metadata"].get("namespace", NAMESPACE) for each in overlay.objects}
    assert namespaces == {NAMESPACE}


def test_the_namespace_enforces_the_restricted_standard(overlay: Overlay) -> None:
    """The API server itself refuses a pod that is less than restricted."""
    labels = overlay.find("Namespace", NAMESPACE)["metadata"]["labels"]
    modes = {f"pod-security.kubernetes.io/{mode}" for mode in ("enforce", "audit", "warn")}
    assert {labels[mode] for mode in modes} == {"restricted"}


def test_no_object_is_there_twice(overlay: Overlay) -> None:
    """Kind and name identify an object."""
    names = Counter((each["kind"], each["metadata"]["name"]) for each in overlay.objects)
    assert set(names.values()) == {1}


def test_every_object_says_that_it_belongs_to_aerolite(overlay: Overlay) -> None:
    """All but generated configuration carry the label by which one lists them."""
    for each in overlay.objects:
        if each["kind"] != "ConfigMap":
            assert each["metadata"]["labels"]["app.kubernetes.io/name"] == "aerolite", each


def test_workloads_select_their_own_pods_and_no_others(overlay: Overlay) -> None:
    """The selector of a workload takes the pods of its template and of no other workload."""
    for each in overlay.objects:
        if each["kind"] in {"Deployment", "StatefulSet"}:
            owner = f"{each['kind']}/{each['metadata']['name']}"
            taken = [pod for pod in overlay.pods if selects(each["spec"]["selector"], pod.labels)]
            assert [pod.owner for pod in taken] == [owner]


def test_services_lead_to_a_port_of_one_workload(overlay: Overlay) -> None:
    """A Service selects the pods of one workload, and its ports are names that they declare."""
    for service in overlay.of_kind("Service"):
        selector = {"matchLabels": service["spec"]["selector"]}
        (pod,) = [pod for pod in overlay.pods if selects(selector, pod.labels)]
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in pod.ports, service["metadata"]["name"]


def test_every_part_that_is_called_has_an_address_in_the_cluster(overlay: Overlay) -> None:
    """The API and each store have a Service with an address of its own, so none is headless."""
    served = {
        each["metadata"]["labels"]["app.kubernetes.io/component"] for each in overlay.of_kind("Service")
    }
    assert served == overlay.roles - {"worker", "debug"}
    assert all("clusterIP" not in each["spec"] for each in overlay.of_kind("Service"))


def test_stateful_sets_name_a_service_that_is_there(overlay: Overlay) -> None:
    """The Service that governs a StatefulSet exists."""
    for each in overlay.of_kind("StatefulSet"):
        overlay.find("Service", each["spec"]["serviceName"])


def test_the_local_overlay_answers_on_port_31234_of_the_node(overlays: dict[str, Overlay]) -> None:
    """The port of the local overlay is fixed, so that one can write it down."""
    spec = overlays["local"].find("Service", "aerolite")["spec"]
    assert (spec["type"], [port["nodePort"] for port in spec["ports"]]) == ("NodePort", [31234])


@pytest.mark.parametrize("name", ["gke", "aws"])
def test_the_overlays_of_clouds_ask_for_a_load_balancer(overlays: dict[str, Overlay], name: str) -> None:
    """On GKE and AWS the Service itself is what the outside talks to."""
    assert overlays[name].find("Service", "aerolite")["spec"]["type"] == "LoadBalancer"


def test_the_ingress_sends_the_base_path_to_the_service(overlays: dict[str, Overlay]) -> None:
    """The Ingress sends BASE_PATH to a port of the Service, and rewrites nothing."""
    overlay = overlays["full"]
    ingress = overlay.find("Ingress", "aerolite")
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    (container,) = overlay.pod("api").containers
    assert (path["path"], path["pathType"]) == (overlay.environment(container)["BASE_PATH"], "Prefix")
    backend = path["backend"]["service"]
    ports = overlay.find("Service", backend["name"])["spec"]["ports"]
    assert backend["port"]["name"] in {port["name"] for port in ports}
    assert not any("rewrite" in key for key in ingress["metadata"]["annotations"])
    assert rule["host"].endswith(".nip.io")


def test_images_are_pinned_and_ours_is_that_of_this_version(overlay: Overlay) -> None:
    """Each image has a tag that is no alias; the API and the worker run the version of this checkout."""
    images = {image for pod in overlay.pods for image in _images(pod)}
    tags = {image: image.rpartition(":")[2] for image in images}
    assert all(tag[:1].isdigit() for tag in tags.values()), tags
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    own = {tag for image, tag in tags.items() if image.startswith("aerolite:")}
    assert own == {setup["metadata"]["version"]}


def test_stores_are_the_same_images_as_under_docker_compose(overlays: dict[str, Overlay]) -> None:
    """Redis and PostgreSQL have one version each, in the cluster and on a laptop."""
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    for store in ("redis", "postgres"):
        (image,) = _images(overlays["full"].pod(store))
        assert f"${{{store.upper()}_IMAGE:-{image}}}" in compose


def _images(pod: Pod) -> list[str]:
    return [container["image"] for container in pod.containers]


def test_images_are_chosen_in_kustomizations_only() -> None:
    """Workloads name an image without a tag: `images:` says which, so one edit changes it."""
    for path in (MANIFESTS / "base", *MANIFESTS.glob("components/*")):
        for file in path.glob("*.yaml"):
            for line in file.read_text(encoding="utf-8").splitlines():
                if line.strip().startswith("image:"):
                    assert line.split()[1].isalpha(), f"{file.relative_to(ROOT)}: {line}"
