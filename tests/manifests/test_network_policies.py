"""Who can talk to whom in every overlay."""

from __future__ import annotations

from itertools import product

from .reachability import End, reaches, selects
from .rendered import NAMESPACE, Overlay

HTTP, REDIS, POSTGRES, DNS, HTTPS = 8080, 6379, 5432, 53, 443
Conversation = tuple[str, str, int]


def neighbours(overlay: Overlay) -> list[End]:
    """List every end worth asking about: the overlay's pods, and who might be around them."""
    home = {"kubernetes.io/metadata.name": NAMESPACE}
    pods = [End(pod.role, NAMESPACE, home, pod.labels, pod.ports) for pod in overlay.pods]

    def elsewhere(name: str, namespace: str, **labels: str) -> End:
        known = {"kubernetes.io/metadata.name": namespace}
        return End(name, namespace, known, {key.replace("_", "-"): labels[key] for key in labels})

    return [
        *pods,
        elsewhere("dns", "kube-system", k8s_app="kube-dns"),
        elsewhere("kube-system pod", "kube-system", k8s_app="metrics-server"),
        elsewhere("ingress controller", "ingress-nginx"),
        elsewhere("prometheus", "monitoring"),
        # It carries the API's own labels, in another namespace.
        End(
            "impostor",
            "default",
            {"kubernetes.io/metadata.name": "default"},
            overlay.pod("api").labels,
        ),
        End("client", "shop", {"aerolite.dev/client": "true"}),
        End("node-local dns", address="169.254.20.10"),
        End("instance metadata", address="169.254.169.254"),
        End("internet", address="203.0.113.7"),
    ]


def wanted(overlay: Overlay) -> set[Conversation]:
    """List the conversations that the overlay's parts need, and nothing else."""
    pairs = {("prometheus", "api", HTTP), ("client", "api", HTTP)}
    pairs |= {(role, "dns", DNS) for role in overlay.roles}
    pairs |= {(role, "node-local dns", DNS) for role in overlay.roles}
    for store, port in (("redis", REDIS), ("postgres", POSTGRES)):
        if store in overlay.roles:
            pairs |= {("api", store, port), ("worker", store, port)}
    if "debug" in overlay.roles:
        pairs.add(("debug", "api", HTTP))
    if overlay.of_kind("Ingress"):
        pairs.add(("ingress controller", "api", HTTP))
    if overlay.find("Service", "aerolite")["spec"]["type"] != "ClusterIP":
        pairs.add(("internet", "api", HTTP))
        pairs |= {("node-local dns", "api", HTTP), ("instance metadata", "api", HTTP)}
    return pairs


def test_the_pairs_that_can_talk_are_exactly_those_that_must(overlay: Overlay) -> None:
    """Every pair of parts and neighbours, at every port in use, can talk if and only if it has to."""
    policies = overlay.of_kind("NetworkPolicy")
    ends = neighbours(overlay)
    ours = {end.name for end in ends if end.namespace == NAMESPACE}
    possible = {
        (source.name, target.name, port)
        for source, target in product(ends, ends)
        if source is not target and {source.name, target.name} & ours
        for port in (HTTP, REDIS, POSTGRES, DNS, HTTPS)
        if reaches(policies, source, target, port)
    }
    assert possible == wanted(overlay)


def test_names_are_resolved_over_udp_and_tcp(overlay: Overlay) -> None:
    """Every pod reaches the cluster's DNS by both protocols: long answers come over TCP."""
    policies = overlay.of_kind("NetworkPolicy")
    ends = neighbours(overlay)
    (dns,) = [end for end in ends if end.name == "dns"]
    for pod in (end for end in ends if end.namespace == NAMESPACE):
        assert reaches(policies, pod, dns, DNS, "UDP"), pod.name
        assert reaches(policies, pod, dns, DNS, "TCP"), pod.name


def test_every_policy_selects_a_pod(overlay: Overlay) -> None:
    """No policy is left over from a part that is not there."""
    for policy in overlay.of_kind("NetworkPolicy"):
        selector = policy["spec"]["podSelector"]
        assert any(selects(selector, pod.labels) for pod in overlay.pods), policy["metadata"]


def test_egress_names_ports_by_number(overlay: Overlay) -> None:
    """No egress rule uses a port's name, which some network plugins do not resolve."""
    for policy in overlay.of_kind("NetworkPolicy"):
        for rule in policy["spec"].get("egress", []):
            assert all(isinstance(each["port"], int) for each in rule["ports"]), policy["metadata"]
