"""Who may talk to whom under NetworkPolicies, worked out without a cluster.

After the Kubernetes documentation, "Network Policies": a pod that no policy selects for a direction
is open in it; one that is selected takes what any of these policies allows; a connection needs the
consent of both ends. A node always reaches the pods that run on it, so probes are not asked about
here. Addresses in `ipBlock` are compared with those of ends outside the cluster only, as network
plugins differ about the addresses of pods.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Policy = dict[str, Any]


@dataclass(frozen=True)
class End:
    """One end of a connection: a pod (with a namespace), or an address outside the cluster."""

    name: str
    namespace: str | None = None
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    address: str | None = None


def reaches(policies: Iterable[Policy], source: End, target: End, port: int, protocol: str = "TCP") -> bool:
    """Tell whether `source` may open a connection to a port of `target`."""
    policies = list(policies)
    return _consents(policies, "Egress", source, target, target, port, protocol) and _consents(
        policies, "Ingress", target, source, target, port, protocol
    )


def _consents(
    policies: Iterable[Policy],
    direction: str,
    pod: End,
    other: End,
    target: End,
    port: int,
    protocol: str,
) -> bool:
    rules = [_rules(policy, direction) for policy in policies if _applies(policy, direction, pod)]
    if not rules:
        return True
    peers_key = "to" if direction == "Egress" else "from"
    return any(
        _names(rule.get(peers_key), other, pod.namespace) and _opens(rule, target, port, protocol)
        for allowed in rules
        for rule in allowed
    )


def _rules(policy: Policy, direction: str) -> list[dict[str, Any]]:
    return policy["spec"].get(direction.lower()) or []


def _applies(policy: Policy, direction: str, pod: End) -> bool:
    spec = policy["spec"]
    implied = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    return (
        pod.namespace == policy["metadata"]["namespace"]
        and direction in spec.get("policyTypes", implied)
        and selects(spec["podSelector"], pod.labels)
    )


def _names(peers: list[dict[str, Any]] | None, end: End, namespace: str | None) -> bool:
    return not peers or any(_is(peer, end, namespace) for peer in peers)


def _is(peer: dict[str, Any], end: End, namespace: str | None) -> bool:
    if block := peer.get("ipBlock"):
        return end.address is not None and _within(block, end.address)
    if end.namespace is None:
        return False
    if "namespaceSelector" in peer:
        at_home = selects(peer["namespaceSelector"], end.namespace_labels)
    else:
        at_home = end.namespace == namespace
    return at_home and selects(peer.get("podSelector", {}), end.labels)


def _within(block: dict[str, Any], address: str) -> bool:
    ip = ip_address(address)
    return ip in ip_network(block["cidr"]) and not any(
        ip in ip_network(hole) for hole in block.get("except", [])
    )


def _opens(rule: dict[str, Any], target: End, port: int, protocol: str) -> bool:
    return not rule.get("ports") or any(
        each.get("protocol", "TCP") == protocol and _covers(each, target, port) for each in rule["ports"]
    )


def _covers(opened: dict[str, Any], target: End, port: int) -> bool:
    first = opened.get("port", port)
    if isinstance(first, str):
        return target.ports.get(first) == port
    return first <= port <= opened.get("endPort", first)


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector takes these labels; an empty one takes all."""
    wanted = selector.get("matchLabels", {})
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _satisfies(expression, labels) for expression in selector.get("matchExpressions", [])
    )


def _satisfies(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case operator:
            raise ValueError(f"{operator!r} is no operator of label selectors")
