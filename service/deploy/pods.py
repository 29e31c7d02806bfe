"""Which pods a rollout makes, and which of them will not come up by waiting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from service.deploy.objects import Manifest

# A kubelet's waiting reasons that need a change of the manifest, the image or a Secret.
HOPELESS = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
    }
)

REVISION = "deployment.kubernetes.io/revision"
TEMPLATE_HASH = "pod-template-hash"
REVISION_HASH = "controller-revision-hash"


@dataclass(frozen=True)
class Trouble:
    """A container that will not start."""

    pod: str
    container: str
    reason: str
    message: str

    def __str__(self) -> str:
        detail = f": {self.message}" if self.message else ""
        return f"{self.reason} of container {self.container} in pod {self.pod}{detail}"


def new_pods(workload: Manifest, replicasets: Iterable[Manifest], pods: Iterable[Manifest]) -> list[Manifest]:
    """Return the pods of the workload's newest template."""
    if workload["kind"] == "StatefulSet":
        revision = (workload.get("status") or {}).get("updateRevision")
        return [pod for pod in pods if owned_by(pod, workload) and label(pod, REVISION_HASH) == revision]
    revision = annotation(workload, REVISION)
    newest = {
        replicaset["metadata"]["uid"]
        for replicaset in replicasets
        if owned_by(replicaset, workload) and annotation(replicaset, REVISION) == revision
    }
    return [pod for pod in pods if _owner_uids(pod) & newest]


def troubles(pods: Iterable[Manifest]) -> Iterator[Trouble]:
    """Yield the containers that wait for a reason that will not pass."""
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp"):
            continue
        for container in container_statuses(pod):
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") in HOPELESS:
                yield Trouble(
                    pod["metadata"]["name"],
                    container["name"],
                    waiting["reason"],
                    waiting.get("message", ""),
                )


def container_statuses(pod: Manifest) -> list[Manifest]:
    """Return what the kubelet says of a pod's containers, init containers first."""
    status = pod.get("status") or {}
    return [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]


def is_ready(pod: Manifest) -> bool:
    """Tell whether the pod gets traffic."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def owned_by(manifest: Manifest, owner: Manifest) -> bool:
    """Tell whether `owner` made the object."""
    return owner["metadata"]["uid"] in _owner_uids(manifest)


def annotation(manifest: Manifest, key: str) -> str | None:
    """Return an annotation, or None."""
    value: str | None = (manifest["metadata"].get("annotations") or {}).get(key)
    return value


def label(manifest: Manifest, key: str) -> str | None:
    """Return a label, or None."""
    value: str | None = (manifest["metadata"].get("labels") or {}).get(key)
    return value


def _owner_uids(manifest: Manifest) -> set[str]:
    return {owner["uid"] for owner in manifest["metadata"].get("ownerReferences") or []}
