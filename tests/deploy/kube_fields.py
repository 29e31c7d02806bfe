"""Field ownership as the API server keeps it: `metadata.managedFields` and server-side apply.

A path is a tuple of FieldsV1 keys, like `("f:spec", 'k:{"name":"x"}', "f:image")`.
"""

from __future__ import annotations

import copy
import json
from typing import Any

Object = dict[str, Any]
Path = tuple[str, ...]

# Lists that merge by keys; every other list is one value. From the OpenAPI document's
# x-kubernetes-list-map-keys.
LIST_KEYS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "volumeMounts": ("mountPath",),
}
PORT_KEYS = (("containerPort", "protocol"), ("port", "protocol"))


class FieldConflict(Exception):
    """Another manager owns a field that is applied with another value."""


def apply(live: Object | None, body: Object, manager: str, *, force: bool) -> Object:
    """Return the object that a server-side apply makes of `live`."""
    result = copy.deepcopy(live) if live else _identity(body)
    owners = read_owners(result)
    stated = leaves(_without_identity(body))
    before = owners.get((manager, "Apply"), set())
    for key, paths in owners.items():
        if key == (manager, "Apply"):
            continue
        lost = {
            path
            for path in stated.keys() & paths
            if path[-1] != "." and value_at(result, path) != stated[path]
        }
        if lost and not force:
            raise FieldConflict(f"conflict with {key[0]!r}: {'.'.join(min(lost))}")
        owners[key] = paths - lost
    owners[manager, "Apply"] = set(stated)
    others = set().union(*(paths for key, paths in owners.items() if key[0] != manager))
    # Whole elements first: without its keys an element could not be found any more.
    for path in sorted(before - stated.keys(), key=lambda path: (path[-1] != ".", path)):
        if not any(other[: len(_element(path))] == _element(path) for other in others):
            remove_at(result, _element(path))
    for path, value in stated.items():
        set_at(result, path, value)
    write_owners(result, owners)
    return result


def own_changes(before: Object | None, after: Object, manager: str) -> None:
    """Record, as for a create, update or patch, that a manager set what differs."""
    old = leaves(_without_identity(before or {}))
    new = leaves(_without_identity(after))
    changed = {path for path, value in new.items() if path not in old or old[path] != value}
    owners = {key: paths & new.keys() for key, paths in read_owners(after).items()}
    taken = {path for path in changed if path[-1] != "."}
    owners = {key: paths - taken for key, paths in owners.items()}
    owners[manager, "Update"] = owners.get((manager, "Update"), set()) | changed
    write_owners(after, owners)


def leaves(value: Any, path: Path = (), name: str = "") -> dict[Path, Any]:
    """Return every field of a value that is owned by itself."""
    if isinstance(value, dict) and value:
        found: dict[Path, Any] = {}
        for key, item in value.items():
            found |= leaves(item, (*path, f"f:{key}"), key)
        return found
    keys = _list_keys(value, name)
    if keys:
        found = {}
        for item in value:
            step = "k:" + json.dumps({key: item[key] for key in keys}, separators=(",", ":"))
            found[*path, step, "."] = None
            found |= leaves(item, (*path, step))
        return found
    return {path: value} if path else {}


def read_owners(obj: Object) -> dict[tuple[str, str], set[Path]]:
    """Return who owns which paths."""
    entries = obj["metadata"].get("managedFields", [])
    return {(one["manager"], one["operation"]): set(_flat(one["fieldsV1"])) for one in entries}


def write_owners(obj: Object, owners: dict[tuple[str, str], set[Path]]) -> None:
    """Store who owns which paths."""
    obj["metadata"]["managedFields"] = [
        {
            "manager": manager,
            "operation": operation,
            "apiVersion": obj["apiVersion"],
            "fieldsType": "FieldsV1",
            "fieldsV1": _nested(paths),
        }
        for (manager, operation), paths in owners.items()
        if paths
    ]


def value_at(obj: Any, path: Path) -> Any:
    """Return the value at a path, or None."""
    for step in path:
        if step.startswith("f:"):
            obj = obj.get(step[2:]) if isinstance(obj, dict) else None
        elif step.startswith("k:"):
            obj = _find(obj or [], json.loads(step[2:]))
    return obj


def set_at(obj: Any, path: Path, value: Any) -> None:
    """Set the value at a path, making what is missing on the way."""
    for step, following in zip(path, (*path[1:], ""), strict=True):
        if step == ".":
            return
        if step.startswith("k:"):
            keys = json.loads(step[2:])
            found = _find(obj, keys)
            if found is None:
                found = keys
                obj.append(found)
            obj = found
        elif following == "":
            obj[step[2:]] = copy.deepcopy(value)
        else:
            empty: Any = [] if following.startswith("k:") else {}
            if not obj.get(step[2:]):
                obj[step[2:]] = empty
            obj = obj[step[2:]]


def remove_at(obj: Any, path: Path) -> None:
    """Remove what is at a path, if anything is."""
    parent = value_at(obj, path[:-1])
    if isinstance(parent, dict):
        parent.pop(path[-1][2:], None)
    elif isinstance(parent, list):
        found = _find(parent, json.loads(path[-1][2:]))
        if found is not None:
            parent.remove(found)


def _element(path: Path) -> Path:
    """Return the element that a path ending in `.` speaks of."""
    return path[:-1] if path[-1] == "." else path


def _list_keys(value: Any, name: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return ()
    candidates = PORT_KEYS if name == "ports" else (LIST_KEYS.get(name, ("?",)),)
    return next((keys for keys in candidates if set(keys) <= value[0].keys()), ())


def _find(items: Any, keys: Object) -> Any:
    return next((item for item in items if keys.items() <= item.items()), None)


def _identity(body: Object) -> Object:
    metadata = {key: body["metadata"][key] for key in ("name", "namespace") if key in body["metadata"]}
    return {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": metadata}


def _without_identity(obj: Object) -> Object:
    rest = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "status")}
    kept = {
        key: value
        for key, value in rest.get("metadata", {}).items()
        if key in ("labels", "annotations") and value
    }
    rest.pop("metadata", None)
    return {**rest, "metadata": kept} if kept else rest


def _nested(paths: set[Path]) -> Object:
    tree: Object = {}
    for path in sorted(paths):
        here = tree
        for step in path:
            here = here.setdefault(step, {})
    return tree


def _flat(tree: Object, path: Path = ()) -> list[Path]:
    if not tree:
        return [path]
    return [leaf for step, below in tree.items() for leaf in _flat(below, (*path, step))]
