"""Collect what a person needs to see why a rollout failed."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.deploy.errors import ApiProblem
from service.deploy.objects import Manifest, Ref
from service.deploy.pods import container_statuses, is_ready, new_pods, owned_by
from service.deploy.resources import Resources

LOG_LINES = 30
MAX_PODS = 2
MAX_EVENTS = 12


@dataclass(frozen=True)
class ContainerLog:
    """The last lines of a container; `previous` says that it is of the one that crashed."""

    pod: str
    container: str
    previous: bool
    text: str


@dataclass
class Diagnosis:
    """Reasons, events and logs of one workload, newest last."""

    workload: Ref
    reasons: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    logs: list[ContainerLog] = field(default_factory=list)


async def diagnose(resources: Resources, ref: Ref) -> Diagnosis:
    """Look at a workload, its newest pods and their containers.

    What the API server refuses to tell stands among the reasons: a diagnosis never fails.
    """
    diagnosis = Diagnosis(ref)
    try:
        await _collect(resources, diagnosis)
    except ApiProblem as problem:
        diagnosis.reasons.append(f"the cluster does not tell more: {problem}")
    return diagnosis


async def _collect(resources: Resources, diagnosis: Diagnosis) -> None:
    workload = await resources.get(diagnosis.workload)
    if workload is None:
        return
    diagnosis.reasons.extend(_conditions(workload))
    replicasets = await resources.list_all("apps/v1", "replicasets")
    pods = new_pods(workload, replicasets, await resources.list_all("v1", "pods"))
    unready = [pod for pod in pods if not is_ready(pod)]
    for pod in unready:
        diagnosis.reasons.extend(_pod_reasons(pod))
    involved = {workload["metadata"]["uid"], *(pod["metadata"]["uid"] for pod in pods)}
    involved |= {one["metadata"]["uid"] for one in replicasets if owned_by(one, workload)}
    diagnosis.events.extend(_told(await resources.list_all("v1", "events"), involved))
    for pod in unready[:MAX_PODS]:
        diagnosis.logs.extend(await _logs(resources, pod))


def _conditions(manifest: Manifest) -> list[str]:
    return [
        f"{condition['type']} is {condition['status']}: {condition['message']}"
        for condition in (manifest.get("status") or {}).get("conditions") or []
        if condition.get("message") and not _fine(condition)
    ]


def _fine(condition: Manifest) -> bool:
    # ReplicaFailure is the one condition of these that is bad news when it is true.
    return bool(condition["status"] == "True") != bool(condition["type"] == "ReplicaFailure")


def _pod_reasons(pod: Manifest) -> list[str]:
    name = pod["metadata"]["name"]
    reasons = [f"pod {name}: {reason}" for reason in _conditions(pod)]
    for container in container_statuses(pod):
        where = f"pod {name}, container {container['name']}"
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason"):
            reasons.append(f"{where}: {waiting['reason']} {waiting.get('message', '')}".rstrip())
        last = (container.get("lastState") or {}).get("terminated")
        last = last or (container.get("state") or {}).get("terminated")
        if last:
            reasons.append(
                f"{where}: ended with exit code {last.get('exitCode')}"
                f" ({last.get('reason', 'no reason given')}),"
                f" restarted {container.get('restartCount', 0)} times"
            )
    return reasons


def _told(events: list[Manifest], involved: set[str]) -> list[str]:
    concerned = [event for event in events if (event.get("involvedObject") or {}).get("uid") in involved]
    concerned.sort(key=_last_seen)
    return [
        f"{event.get('type', '')} {event.get('reason', '')}"
        f" {event['involvedObject'].get('kind', '')}/{event['involvedObject'].get('name', '')}:"
        f" {' '.join(str(event.get('message', '')).split())}"
        for event in concerned[-MAX_EVENTS:]
    ]


def _last_seen(event: Manifest) -> str:
    return event.get("lastTimestamp") or event.get("eventTime") or ""


async def _logs(resources: Resources, pod: Manifest) -> list[ContainerLog]:
    logs = []
    for container in container_statuses(pod):
        previous = bool((container.get("lastState") or {}).get("terminated"))
        text = await _log(resources, pod, container["name"], previous=previous)
        if text:
            logs.append(ContainerLog(pod["metadata"]["name"], container["name"], previous, text))
    return logs


async def _log(resources: Resources, pod: Manifest, container: str, *, previous: bool) -> str:
    ref = Ref("v1", "Pod", resources.cluster.namespace, pod["metadata"]["name"])
    query: dict[str, object] = {"container": container, "tailLines": LOG_LINES}
    if previous:
        query["previous"] = True
    try:
        return await resources.cluster.get_text(f"{await resources.path(ref)}/log", query)
    except ApiProblem as problem:
        # A container that never started has no log, which the server says with a 400.
        return "" if problem.status == 400 else f"no log: {problem}"
