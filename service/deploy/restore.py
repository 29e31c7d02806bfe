"""Put back what ran before."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from service.deploy.errors import DeployError
from service.deploy.objects import Manifest, Ref, is_workload, ref_of
from service.deploy.ownership import as_it_was
from service.deploy.pods import REVISION_HASH, is_ready, label, owned_by
from service.deploy.resources import Resources

# What holds data, and the passwords that the data was made with, outlives a failed deploy.
KEPT_KINDS = frozenset({"Namespace", "PersistentVolumeClaim", "Secret"})

CONTROLLER_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Change:
    """One object before and after an apply; `before` is None for a new one."""

    before: Manifest | None
    after: Manifest

    @property
    def is_real(self) -> bool:
        """Tell whether the apply changed anything."""
        if self.before is None:
            return True
        return _version(self.before) != _version(self.after)


@dataclass
class Restored:
    """What putting back came to."""

    workloads: list[Manifest] = field(default_factory=list)
    """Those whose previous form rolls out now."""
    removed: list[Ref] = field(default_factory=list)
    kept: list[Ref] = field(default_factory=list)
    """New objects that stay, as they may hold data."""
    problems: list[str] = field(default_factory=list)


async def put_back(
    resources: Resources,
    changes: Sequence[Change],
    controller_timeout_s: float = CONTROLLER_TIMEOUT_S,
) -> Restored:
    """Restore every changed object and remove every new one.

    Previous objects come back whole, in the order of their apply; then new ones go, in reverse, so
    that nothing loses what it still uses. A problem with one object does not stop the others.
    """
    restored = Restored()
    changed = [change for change in changes if change.is_real]
    for change in changed:
        if change.before is not None:
            await _restore(resources, change.before, change.after, restored)
    for change in reversed(changed):
        if change.before is None:
            await _remove(resources, change.after, restored)
    for workload in restored.workloads:
        if workload["kind"] == "StatefulSet":
            await _free(resources, workload, restored, controller_timeout_s)
    return restored


async def _restore(resources: Resources, before: Manifest, after: Manifest, restored: Restored) -> None:
    try:
        live = await resources.apply(as_it_was(before, after))
    except DeployError as problem:
        restored.problems.append(f"{ref_of(before)} could not be put back: {problem}")
    else:
        if is_workload(live):
            restored.workloads.append(live)


async def _remove(resources: Resources, new: Manifest, restored: Restored) -> None:
    ref = ref_of(new)
    if new["kind"] in KEPT_KINDS:
        restored.kept.append(ref)
        return
    try:
        await resources.delete(new)
    except DeployError as problem:
        restored.problems.append(f"{ref} could not be removed: {problem}")
    else:
        restored.removed.append(ref)


async def _free(resources: Resources, statefulset: Manifest, restored: Restored, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await _delete_broken_pods(resources, statefulset)
    except TimeoutError:
        restored.problems.append(f"{ref_of(statefulset)} was put back, and its controller does not see it")
    except DeployError as problem:
        restored.problems.append(f"{ref_of(statefulset)} may wait for a broken pod: {problem}")


async def _delete_broken_pods(resources: Resources, statefulset: Manifest) -> None:
    """Delete the pods that never became ready.

    A StatefulSet waits for a broken pod for ever, even once its template is good again:
    https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
    """
    good = await _good_revision(resources, statefulset)
    for pod in await resources.list_all("v1", "pods"):
        if owned_by(pod, statefulset) and label(pod, REVISION_HASH) != good and not is_ready(pod):
            await resources.delete(pod)


async def _good_revision(resources: Resources, statefulset: Manifest) -> str | None:
    """Wait until the controller knows the restored template: before, it would repeat the broken."""
    while True:
        live = await resources.get(ref_of(statefulset)) or statefulset
        status = live.get("status") or {}
        if status.get("observedGeneration", 0) >= statefulset["metadata"]["generation"]:
            revision: str | None = status.get("updateRevision")
            return revision
        await asyncio.sleep(resources.cluster.patience.first_delay_s)


def _version(manifest: Manifest) -> object:
    return manifest["metadata"].get("resourceVersion")
