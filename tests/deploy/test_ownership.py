"""What an apply is undone with."""

from __future__ import annotations

from typing import Any

from service.deploy.ownership import as_it_was, extract, owned, union

from . import kube_fields
from .overlays import deployment

US = "aerolite"


def applied(live: dict[str, Any] | None, body: dict[str, Any], manager: str = US) -> dict[str, Any]:
    """Apply as the API server does."""
    return kube_fields.apply(live, body, manager, force=True)


def without_owners(obj: dict[str, Any]) -> dict[str, Any]:
    """Return an object without the record of who owns what."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {**obj, "metadata": metadata}


def test_an_apply_is_undone() -> None:
    """What was changed, added and removed is as it was; so is the record of who owns what."""
    before = applied(None, deployment("aerolite:1", minReadySeconds=5))
    after_body = deployment("aerolite:2", paused=False)
    after_body["spec"]["template"]["spec"]["containers"].append({"name": "more", "image": "more:1"})
    after_body["spec"]["template"]["spec"]["containers"][0].pop("env")
    after = applied(before, after_body)

    assert applied(after, as_it_was(before, after)) == before


def test_the_fields_of_others_are_left_alone() -> None:
    """The replicas that an autoscaler sets are neither stated nor owned."""
    body = deployment()
    del body["spec"]["replicas"]
    before = applied(None, body)
    before["spec"]["replicas"] = 7
    kube_fields.own_changes(None, before, "autoscaler")
    after = applied(before, {**body, "spec": {**body["spec"], "minReadySeconds": 5}})

    undo = as_it_was(before, after)

    assert "replicas" not in undo["spec"]
    assert applied(after, undo)["spec"]["replicas"] == 7


def test_what_somebody_else_applied_comes_back() -> None:
    """Fields that we took over from another manager get their values back."""
    before = applied(None, deployment("aerolite:1"), "kubectl")
    after = applied(before, deployment("aerolite:2"))

    restored = applied(after, as_it_was(before, after))

    assert without_owners(restored) == without_owners(before)


def test_an_untouched_object_has_an_undo_that_states_nothing() -> None:
    """Where we own nothing before or after, the undo is the object's name alone."""
    live = applied(None, deployment(), "kubectl")

    assert as_it_was(live, live) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "aerolite"},
    }


def test_only_our_applies_count_as_ours() -> None:
    """Updates, subresources and other managers are not what we applied."""
    fields = {"f:spec": {}}
    entries = [
        {"manager": "kubectl", "operation": "Apply", "fieldsV1": fields},
        {"manager": US, "operation": "Update", "fieldsV1": fields},
        {"manager": US, "operation": "Apply", "subresource": "status", "fieldsV1": fields},
    ]

    assert owned({"metadata": {"managedFields": entries}}) == {}
    assert owned({"metadata": {}}) == {}


def test_elements_are_found_by_their_keys_in_live_order() -> None:
    """An element keeps its keys, also those that we left to the default, and its place."""
    ports = [
        {"port": 80, "protocol": "TCP", "targetPort": 1},
        {"port": 81, "protocol": "TCP", "targetPort": 2},
    ]
    fields = {
        'k:{"port":81,"protocol":"TCP"}': {".": {}, "f:port": {}},
        'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:targetPort": {}},
        'k:{"port":82,"protocol":"TCP"}': {".": {}},
    }

    assert extract(ports, fields) == [
        {"port": 80, "protocol": "TCP", "targetPort": 1},
        {"port": 81, "protocol": "TCP"},
    ]


def test_elements_of_a_set_are_kept_by_value() -> None:
    """Of a set, like finalizers, only our elements are ours."""
    assert extract(["ours", "theirs"], {'v:"ours"': {}}) == ["ours"]


def test_a_value_that_is_no_mapping_any_more_is_taken_whole() -> None:
    """A tree that speaks of fields of a plain value gives the value."""
    assert extract(7, {"f:gone": {}}) == 7


def test_a_union_has_the_fields_of_both() -> None:
    """Trees merge branch by branch."""
    assert union({"f:a": {"f:b": {}}}, {"f:a": {"f:c": {}}, "f:d": {}}) == {
        "f:a": {"f:b": {}, "f:c": {}},
        "f:d": {},
    }
