"""Kubernetes objects as plain mappings: who they are, in which order they go, what they run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]

# What others need comes first: a namespace before what lives in it, configuration before the pods
# that read it, stores before the service. Unknown kinds go last, after any definition of them.
APPLY_ORDER = (
    "Namespace",
    "CustomResourceDefinition",
    "PriorityClass",
    "StorageClass",
    "ResourceQuota",
    "LimitRange",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "NetworkPolicy",
    "ConfigMap",
    "Secret",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Service",
    "StatefulSet",
    "Deployment",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
    "Ingress",
)
WORKLOADS = ("Deployment", "StatefulSet")

_POD_PATHS = {
    "Pod": ("spec",),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
}


@dataclass(frozen=True)
class Ref:
    """The identity of an object; `namespace` is None for what is cluster-wide."""

    api_version: str
    kind: str
    namespace: str | None
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


def ref_of(manifest: Manifest) -> Ref:
    """Name the object that a manifest describes."""
    metadata = manifest["metadata"]
    return Ref(manifest["apiVersion"], manifest["kind"], metadata.get("namespace"), metadata["name"])


def identity(ref: Ref) -> Manifest:
    """Return the smallest manifest that names the object."""
    metadata = {"name": ref.name}
    if ref.namespace is not None:
        metadata["namespace"] = ref.namespace
    return {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": metadata}


def items_of(answer: Manifest) -> list[Manifest]:
    """Return the items of a list with the kind and version that a list states only once."""
    named = {
        "apiVersion": answer["apiVersion"],
        "kind": answer["kind"].removesuffix("List"),
    }
    return [{**named, **item} for item in answer["items"]]


def in_apply_order(manifests: Iterable[Manifest]) -> list[Manifest]:
    """Sort manifests so that each comes after what it needs."""
    ranks = {kind: rank for rank, kind in enumerate(APPLY_ORDER)}
    return sorted(manifests, key=lambda manifest: ranks.get(manifest["kind"], len(ranks)))


def is_workload(manifest: Manifest) -> bool:
    """Tell whether the manifest has a rollout to wait for."""
    return manifest["apiVersion"] == "apps/v1" and manifest["kind"] in WORKLOADS


def pod_spec(manifest: Manifest) -> Manifest:
    """Return the pod that the manifest runs, or an empty mapping where it runs none."""
    found: object = manifest
    for step in _POD_PATHS.get(manifest["kind"], ("spec", "template", "spec")):
        found = found.get(step) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def containers(manifest: Manifest) -> Iterator[Manifest]:
    """Yield every container that the manifest runs, init containers first."""
    spec = pod_spec(manifest)
    yield from spec.get("initContainers") or []
    yield from spec.get("containers") or []
