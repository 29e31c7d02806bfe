"""The objects of the stand-in: versions, history for watches, defaults, validation, cascades."""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import kube_fields

Object = dict[str, Any]
Key = tuple[str, str | None, str]
"""Plural, namespace, name."""


class Refused(Exception):
    """An answer of the API server that is no success."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class Event:
    """One entry of a watch's history."""

    version: int
    key: Key
    change: str
    obj: Object


@dataclass(frozen=True)
class Kind:
    """What discovery says of a kind."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True


KINDS = (
    Kind("v1", "Namespace", "namespaces", namespaced=False),
    Kind("v1", "ConfigMap", "configmaps"),
    Kind("v1", "Secret", "secrets"),
    Kind("v1", "Service", "services"),
    Kind("v1", "ServiceAccount", "serviceaccounts"),
    Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    Kind("v1", "Pod", "pods"),
    Kind("v1", "Event", "events"),
    Kind("apps/v1", "Deployment", "deployments"),
    Kind("apps/v1", "StatefulSet", "statefulsets"),
    Kind("apps/v1", "ReplicaSet", "replicasets"),
    Kind("apps/v1", "ControllerRevision", "controllerrevisions"),
    Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Kind("networking.k8s.io/v1", "Ingress", "ingresses"),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
)
IMMUTABLE = {
    "Deployment": ("selector",),
    "PersistentVolumeClaim": ("storageClassName", "accessModes"),
}


@dataclass
class KubeStore:
    """Every object, and every change in order."""

    objects: dict[Key, Object] = field(default_factory=dict)
    history: list[Event] = field(default_factory=list)
    version: int = 100
    oldest: int = 0
    """Watches from before this version are told 410 Gone."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    on_write: Callable[[Object], None] = lambda _: None
    on_delete: Callable[[Object], None] = lambda _: None
    _uids: Iterator[int] = field(default_factory=itertools.count)

    def of(self, plural: str, namespace: str | None = None) -> list[Object]:
        """List the objects of a kind."""
        return [
            obj
            for (kind, space, _), obj in sorted(self.objects.items(), key=lambda one: str(one[0]))
            if kind == plural and (namespace is None or space == namespace)
        ]

    def get(self, plural: str, namespace: str | None, name: str) -> Object:
        """Return an object, or refuse with a 404."""
        try:
            return self.objects[plural, namespace, name]
        except KeyError:
            raise Refused(404, "NotFound", f'{plural} "{name}" not found') from None

    def apply(self, key: Key, body: Object, manager: str, *, force: bool, dry_run: bool) -> Object:
        """Apply server-side."""
        before = self.objects.get(key)
        try:
            after = kube_fields.apply(before, body, manager, force=force)
        except kube_fields.FieldConflict as conflict:
            raise Refused(409, "Conflict", str(conflict)) from None
        return self.put(key, after, dry_run=dry_run)

    def update(self, key: Key, after: Object, manager: str) -> Object:
        """Store an object that somebody else than an applier changed."""
        kube_fields.own_changes(self.objects.get(key), after, manager)
        return self.put(key, after)

    def put(self, key: Key, after: Object, *, dry_run: bool = False) -> Object:
        """Default, check and store an object, unless that changes nothing."""
        before = self.objects.get(key)
        if key[1] is not None and ("namespaces", None, key[1]) not in self.objects:
            raise Refused(404, "NotFound", f'namespaces "{key[1]}" not found')
        after = _defaulted(copy.deepcopy(after))
        _check(before, after)
        metadata = after["metadata"]
        metadata.setdefault("uid", f"uid-{next(self._uids)}" if not dry_run else "uid-dry")
        metadata.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        if before is None:
            metadata["generation"] = 1
        elif before.get("spec") != after.get("spec"):
            metadata["generation"] = before["metadata"]["generation"] + 1
        if after == before:
            return copy.deepcopy(before)
        if not dry_run:
            self._store(key, after, "ADDED" if before is None else "MODIFIED")
            self.on_write(after)
        return copy.deepcopy(after)

    def set_status(self, key: Key, **status: Any) -> None:
        """Change an object's status, as a controller does."""
        obj = copy.deepcopy(self.objects[key])
        obj["status"] = {**obj.get("status", {}), **status}
        self._store(key, obj, "MODIFIED")

    def delete(self, key: Key) -> None:
        """Delete an object and, as the garbage collector does, what it owns."""
        obj = self.objects.pop(key)
        self._record(key, obj, "DELETED")
        for other, dependent in list(self.objects.items()):
            owners = dependent["metadata"].get("ownerReferences", [])
            inside = key[0] == "namespaces" and other[1] == key[2]
            owned = any(owner["uid"] == obj["metadata"]["uid"] for owner in owners)
            if (inside or owned) and other in self.objects:
                self.delete(other)
        self.on_delete(obj)

    def forget_history(self) -> None:
        """Compact: whoever watches from before now has to list anew."""
        self.oldest = self.version

    def _store(self, key: Key, obj: Object, change: str) -> None:
        self._record(key, obj, change)
        self.objects[key] = obj

    def _record(self, key: Key, obj: Object, change: str) -> None:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.history.append(Event(self.version, key, change, copy.deepcopy(obj)))
        self.changed.set()
        self.changed = asyncio.Event()


def _defaulted(obj: Object) -> Object:
    spec = obj.get("spec", {})
    match obj["kind"]:
        case "Deployment":
            spec.setdefault("replicas", 1)
            spec.setdefault("progressDeadlineSeconds", 600)
        case "StatefulSet":
            spec.setdefault("replicas", 1)
            spec.setdefault("updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
        case "PersistentVolumeClaim":
            if "uid" not in obj["metadata"]:
                spec.setdefault("storageClassName", "standard")
        case "Service":
            spec.setdefault("clusterIP", "10.96.0.17")
    for container in spec.get("template", {}).get("spec", {}).get("containers", []):
        container.setdefault("imagePullPolicy", "IfNotPresent")
    return obj


def _check(before: Object | None, after: Object) -> None:
    name = after["metadata"]["name"]
    if "bogus" in after.get("spec", {}):
        raise Refused(422, "Invalid", f'{after["kind"]} "{name}" is invalid: .spec.bogus: field not declared')
    if before is None:
        return
    for frozen in IMMUTABLE.get(after["kind"], ()):
        if before["spec"].get(frozen) != after["spec"].get(frozen):
            raise Refused(
                422,
                "Invalid",
                f'{after["kind"]} "{name}" is invalid: spec.{frozen}: Invalid value: field is immutable',
            )
