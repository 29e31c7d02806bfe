"""The evaluator of NetworkPolicies that the policy tests rest on."""

from __future__ import annotations

from typing import Any

import pytest

from .reachability import End, reaches, selects

API = End("api", "app", {"team": "a"}, {"role": "api"}, {"http": 8080})
STORE = End("store", "app", {"team": "a"}, {"role": "store"}, {"db": 5432})
STRANGER = End("stranger", "elsewhere", {"team": "b"}, {"role": "api"})
OUTSIDE = End("outside", address="203.0.113.7")


def policy(selector: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """Make a policy of the namespace `app`."""
    return {"metadata": {"namespace": "app"}, "spec": {"podSelector": selector, **spec}}


DENY = policy({}, policyTypes=["Ingress", "Egress"])
OUT = policy({"matchLabels": {"role": "api"}}, egress=[{}], policyTypes=["Egress"])


def opening(*peers: dict[str, Any], **port: Any) -> dict[str, Any]:
    """Make a policy that lets peers into the store."""
    rule = {"from": list(peers), **({"ports": [port]} if port else {})}
    return policy({"matchLabels": {"role": "store"}}, ingress=[rule])


def test_without_a_policy_everybody_reaches_everybody() -> None:
    """Pods that no policy selects are open."""
    assert reaches([], STRANGER, STORE, 5432)


def test_a_policy_of_another_namespace_changes_nothing() -> None:
    """A policy selects pods of its own namespace only."""
    assert reaches([DENY], STRANGER, End("free", "other"), 80)


def test_default_deny_closes_both_directions() -> None:
    """A policy that selects all pods and allows nothing leaves no connection."""
    assert not reaches([DENY], API, STORE, 5432)
    assert not reaches([DENY], STRANGER, API, 8080)
    assert not reaches([DENY], API, OUTSIDE, 443)


def test_both_ends_must_consent() -> None:
    """A door that is open on one side only stays shut."""
    door = opening({"podSelector": {"matchLabels": {"role": "api"}}})
    assert not reaches([DENY, door], API, STORE, 5432)
    assert not reaches([DENY, OUT], API, STORE, 5432)
    assert reaches([DENY, OUT, door], API, STORE, 5432)


def test_a_pod_selector_alone_means_the_policys_own_namespace() -> None:
    """A pod elsewhere that carries the right label is still a stranger."""
    door = opening({"podSelector": {"matchLabels": {"role": "api"}}})
    assert not reaches([DENY, door], STRANGER, STORE, 5432)


def test_a_namespace_selector_narrows_with_a_pod_selector_in_the_same_peer() -> None:
    """Both selectors of one peer must take the pod; two peers are alternatives."""
    namespace = {"namespaceSelector": {"matchLabels": {"team": "b"}}}
    pods = {"podSelector": {"matchLabels": {"role": "worker"}}}
    assert reaches([DENY, opening(namespace)], STRANGER, STORE, 5432)
    assert not reaches([DENY, opening(namespace | pods)], STRANGER, STORE, 5432)
    assert reaches([DENY, opening(namespace, pods)], STRANGER, STORE, 5432)


def test_a_block_of_addresses_is_for_the_outside_and_has_holes() -> None:
    """An ipBlock takes addresses in it but for its exceptions, and no pods."""
    block = {"cidr": "203.0.113.0/24"}
    assert reaches([opening({"ipBlock": block})], OUTSIDE, STORE, 5432)
    holed = block | {"except": ["203.0.113.7/32"]}
    assert not reaches([opening({"ipBlock": holed})], OUTSIDE, STORE, 5432)
    assert not reaches([opening({"ipBlock": block})], STRANGER, STORE, 5432)


@pytest.mark.parametrize(
    ("opened", "port", "protocol", "allowed"),
    [
        ({"port": "db"}, 5432, "TCP", True),
        ({"port": "db"}, 8080, "TCP", False),
        ({"port": "unknown"}, 5432, "TCP", False),
        ({"port": 5432, "protocol": "UDP"}, 5432, "TCP", False),
        ({"port": 5432, "protocol": "UDP"}, 5432, "UDP", True),
        ({"port": 5000, "endPort": 6000}, 5432, "TCP", True),
        ({"protocol": "TCP"}, 5432, "TCP", True),
    ],
)
def test_a_port_is_a_number_a_name_a_range_or_all(
    opened: dict[str, Any], port: int, protocol: str, allowed: bool
) -> None:
    """A rule with ports opens just these, by protocol; a name is the target's own."""
    assert reaches([opening({"podSelector": {}}, **opened)], API, STORE, port, protocol) is allowed


@pytest.mark.parametrize(
    ("operator", "values", "taken"),
    [
        ("In", ["api"], True),
        ("In", ["worker"], False),
        ("NotIn", ["api"], False),
        ("NotIn", ["worker"], True),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
    ],
)
def test_expressions_select_by_value_and_presence(operator: str, values: list[str], taken: bool) -> None:
    """The four operators of label selectors mean what the API says."""
    expression = {"key": "role", "operator": operator, "values": values}
    assert selects({"matchExpressions": [expression]}, {"role": "api"}) is taken


def test_an_unknown_operator_is_an_error() -> None:
    """A selector that the API would refuse selects nothing here either: it raises."""
    with pytest.raises(ValueError, match="'Like' is no operator"):
        selects({"matchExpressions": [{"key": "a", "operator": "Like"}]}, {})
