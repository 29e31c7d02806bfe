"""Which fields of a live object are ours, and their values.

Server-side apply records for each field who set it, in `metadata.managedFields`, as a tree whose
keys are `f:NAME` (a field), `k:{…}` (the element of a list with these keys), `v:VALUE` (an element
of a set) and `.` (the element itself); an empty tree stands for a whole value.
https://kubernetes.io/docs/reference/using-api/server-side-apply/

To undo an apply it takes the previous values of exactly the fields that we owned before or after:
with fewer, what we overwrote would stay; with more, we would own what others keep, like the
replicas of an autoscaler, and the next apply would reset them.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from service.deploy.objects import Manifest, identity, ref_of
from service.deploy.resources import FIELD_MANAGER

Fields = dict[str, Any]


def owned(live: Manifest) -> Fields:
    """Return the tree of the fields that we applied."""
    for entry in live["metadata"].get("managedFields") or []:
        if (
            entry.get("manager") == FIELD_MANAGER
            and entry.get("operation") == "Apply"
            and not entry.get("subresource")
        ):
            fields: Fields = entry.get("fieldsV1") or {}
            return fields
    return {}


def union(one: Fields, other: Fields) -> Fields:
    """Return the tree of the fields that are in either tree."""
    return {key: union(one.get(key, {}), other.get(key, {})) for key in one.keys() | other.keys()}


def as_it_was(before: Manifest, after: Manifest) -> Manifest:
    """Return the manifest that, applied, undoes the apply that led from `before` to `after`."""
    fields = union(owned(before), owned(after))
    # An empty tree would stand for the whole object.
    values = extract(before, fields) if fields else {}
    name = identity(ref_of(before))
    return {**values, **name, "metadata": {**values.get("metadata", {}), **name["metadata"]}}


def extract(value: Any, fields: Fields) -> Any:
    """Return the part of a value that a tree of fields covers."""
    if not fields:
        return copy.deepcopy(value)
    if isinstance(value, dict):
        return {key: extract(value[key], fields[f"f:{key}"]) for key in value if f"f:{key}" in fields}
    if isinstance(value, list):
        return _elements(value, fields)
    return value


def _elements(values: list[Any], fields: Fields) -> list[Any]:
    """Keep the live order: an environment variable may refer to those before it."""
    keyed = {key: json.loads(key[2:]) for key in fields if key.startswith("k:")}
    plain = [json.loads(key[2:]) for key in fields if key.startswith("v:")]
    kept: list[Any] = []
    for value in values:
        if value in plain:
            kept.append(value)
        for key, names in keyed.items():
            if isinstance(value, dict) and names.items() <= value.items():
                # The keys identify the element, whoever set them (a port's default protocol).
                kept.append({**names, **extract(value, fields[key])})
    return kept
