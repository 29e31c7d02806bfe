"""When a rollout is done: the predicate of `kubectl rollout status`.

From kubectl's `pkg/polymorphichelpers/rollout_status.go`, so that both tools always agree.
"""

from __future__ import annotations

from dataclasses import dataclass

from service.deploy.objects import Manifest


@dataclass(frozen=True)
class RolloutState:
    """How far a rollout is: `ready` of `wanted` replicas run the new template and are available."""

    ready: int
    wanted: int
    message: str
    done: bool = False
    failed: bool = False


def rollout_state(workload: Manifest) -> RolloutState:
    """Judge a Deployment or a StatefulSet by its status."""
    if workload["kind"] == "StatefulSet":
        return _statefulset_state(workload)
    return _deployment_state(workload)


def _deployment_state(deployment: Manifest) -> RolloutState:
    status = deployment.get("status") or {}
    wanted = deployment["spec"].get("replicas", 1)
    updated = status.get("updatedReplicas", 0)
    available = status.get("availableReplicas", 0)
    old = max(status.get("replicas", 0) - updated, 0)
    # Which pods are available is not said: at worst, all old ones are.
    ready = max(available - old, 0)
    if deployment["metadata"].get("generation", 0) > status.get("observedGeneration", 0):
        return RolloutState(0, wanted, "waiting for the controller to see the change")
    for condition in status.get("conditions") or []:
        deadline = condition.get("reason") == "ProgressDeadlineExceeded"
        if condition.get("type") == "Progressing" and deadline:
            return RolloutState(ready, wanted, "exceeded its progress deadline", failed=True)
    if updated < wanted:
        return RolloutState(ready, wanted, f"{updated} of {wanted} replicas are updated")
    if old:
        return RolloutState(ready, wanted, f"old replicas still to end: {old}")
    if available < updated:
        return RolloutState(ready, wanted, f"{available} of {updated} replicas are available")
    return RolloutState(ready, wanted, "rolled out", done=True)


def _statefulset_state(statefulset: Manifest) -> RolloutState:
    spec, status = statefulset["spec"], statefulset.get("status") or {}
    wanted = spec.get("replicas", 1)
    ready = status.get("readyReplicas", 0)
    updated = status.get("updatedReplicas", 0)
    strategy = spec.get("updateStrategy") or {}
    observed = status.get("observedGeneration", 0)
    if observed == 0 or statefulset["metadata"].get("generation", 0) > observed:
        return RolloutState(0, wanted, "waiting for the controller to see the change")
    if strategy.get("type") == "OnDelete":
        # kubectl has no answer here: pods change when somebody deletes them.
        return RolloutState(ready, wanted, "its pods are replaced on deletion", done=True)
    if ready < wanted:
        return RolloutState(ready, wanted, f"{ready} of {wanted} replicas are ready")
    partition = (strategy.get("rollingUpdate") or {}).get("partition")
    if partition is not None:
        if updated < wanted - partition:
            return RolloutState(updated, wanted, f"{updated} of {wanted} replicas are updated")
    elif status.get("updateRevision") != status.get("currentRevision"):
        return RolloutState(updated, wanted, f"{updated} of {wanted} replicas are updated")
    return RolloutState(ready, wanted, "rolled out", done=True)
