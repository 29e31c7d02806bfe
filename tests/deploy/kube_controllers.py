"""The controllers and the kubelet of the stand-in, by script.

What becomes of a pod is decided by the tag of its first container's image: see `Fate`. All happens
at once, in as many versions as it has stages, so a watcher sees a rollout go by without waiting.
"""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .kube_store import Key, KubeStore, Object

REVISION = "deployment.kubernetes.io/revision"


class Fate(StrEnum):
    """What an image's tag stands for; every other tag comes up."""

    CRASHES = "crashes"
    NOT_FOUND = "not-found"
    STALLS = "stalls"
    """Never ready, until its progress deadline is over."""
    HANGS = "hangs"
    """Never ready, and nobody says so."""
    SLEEPS = "sleeps"
    """Comes up when the test calls `wake`."""


def _waiting(reason: str, message: str) -> Object:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


@dataclass
class Controllers:
    """Reacts to every write of the store."""

    store: KubeStore
    logs: dict[str, str] = field(default_factory=dict)
    """By the image's tag, what its containers write."""

    def __post_init__(self) -> None:
        self.store.on_write = self.written
        self.store.on_delete = self.deleted

    def written(self, obj: Object) -> None:
        """Do what the kind's controller does."""
        match obj["kind"]:
            case "Deployment":
                self._deployment(obj)
            case "StatefulSet":
                self._statefulset(obj)
            case "Service":
                self._endpoints(obj["metadata"]["namespace"])

    def deleted(self, obj: Object) -> None:
        """Replace a StatefulSet's pod that was deleted."""
        namespace = obj["metadata"].get("namespace")
        if obj["kind"] == "Pod" and ("namespaces", None, namespace) in self.store.objects:
            for statefulset in self.store.of("statefulsets", namespace):
                self._statefulset(statefulset)

    def wake(self, namespace: str, name: str) -> None:
        """Bring up the sleeping pods of a Deployment."""
        deployment = self.store.get("deployments", namespace, name)
        self._roll_out(deployment, self._replicaset(deployment))

    def _deployment(self, deployment: Object) -> None:
        key = _key("deployments", deployment)
        replicaset = self._replicaset(deployment)
        fate = self._fate(deployment)
        self.store.set_status(key, observedGeneration=deployment["metadata"]["generation"], conditions=[])
        if fate is None:
            self._roll_out(deployment, replicaset)
            return
        if not self._pods_of(replicaset):
            self._pod(f"{replicaset['metadata']['name']}-broken", deployment, replicaset, fate, {})
        wanted = deployment["spec"]["replicas"]
        old = sum(len(self._pods_of(one)) for one in self._replicasets(deployment)) - 1
        conditions = []
        if fate is Fate.STALLS:
            conditions = [
                {
                    "type": "Progressing",
                    "status": "False",
                    "reason": "ProgressDeadlineExceeded",
                    "message": f"ReplicaSet {replicaset['metadata']['name']} has timed out progressing.",
                }
            ]
        self.store.set_status(
            key,
            replicas=old + 1,
            updatedReplicas=1,
            availableReplicas=min(old, wanted),
            readyReplicas=min(old, wanted),
            conditions=conditions,
        )

    def _roll_out(self, deployment: Object, replicaset: Object) -> None:
        key, wanted = _key("deployments", deployment), deployment["spec"]["replicas"]
        for pod in self._pods_of(replicaset):
            if pod["metadata"]["name"].endswith("broken"):
                self.store.delete(_key("pods", pod))
        for number in range(wanted):
            name = f"{replicaset['metadata']['name']}-{number}"
            if ("pods", key[1], name) not in self.store.objects:
                self._pod(name, deployment, replicaset, None, {})
            self.store.set_status(
                key,
                replicas=wanted + 1,
                updatedReplicas=number + 1,
                availableReplicas=wanted,
                readyReplicas=wanted,
            )
        for other in self._replicasets(deployment):
            if other["metadata"]["uid"] != replicaset["metadata"]["uid"]:
                for pod in self._pods_of(other):
                    self.store.delete(_key("pods", pod))
        self.store.set_status(key, replicas=wanted, updatedReplicas=wanted)
        self._endpoints(key[1])

    def _replicaset(self, deployment: Object) -> Object:
        """Return the ReplicaSet of the template, with the newest revision."""
        template = deployment["spec"]["template"]
        known = self._replicasets(deployment)
        newest = max((int(one["metadata"]["annotations"][REVISION]) for one in known), default=0)
        found = next((one for one in known if _plain(one["spec"]["template"]) == template), None)
        if found is None or int(found["metadata"]["annotations"][REVISION]) < newest:
            newest += 1
        name = f"{deployment['metadata']['name']}-{_hash(template)}"
        labelled = copy.deepcopy(template)
        labelled["metadata"]["labels"]["pod-template-hash"] = _hash(template)
        replicaset = copy.deepcopy(found) or _owned("apps/v1", "ReplicaSet", name, deployment)
        replicaset["spec"] = {"template": labelled}
        replicaset["metadata"]["annotations"] = {REVISION: str(newest)}
        stored = self.store.put(_key("replicasets", replicaset), replicaset)
        live = self.store.objects[_key("deployments", deployment)]
        live["metadata"].setdefault("annotations", {})[REVISION] = str(newest)
        return stored

    def _replicasets(self, deployment: Object) -> list[Object]:
        return self._owned_by(deployment, "replicasets")

    def _statefulset(self, statefulset: Object) -> None:
        key = _key("statefulsets", statefulset)
        template = statefulset["spec"]["template"]
        revision = self._controller_revision(statefulset, template)
        observed = statefulset["metadata"]["generation"]
        self.store.set_status(key, observedGeneration=observed, updateRevision=revision)
        fate = self._fate(statefulset)
        ready = 0
        for number in range(statefulset["spec"]["replicas"]):
            name = f"{statefulset['metadata']['name']}-{number}"
            pod = self.store.objects.get(("pods", key[1], name))
            if pod and pod["metadata"]["labels"]["controller-revision-hash"] != revision:
                if not _ready(pod):
                    break  # a StatefulSet waits for a broken pod, whatever its template says by now
                del self.store.objects["pods", key[1], name]  # replaced in place
                pod = None
            if pod is None:
                labels = {"controller-revision-hash": revision}
                pod = self._pod(name, statefulset, statefulset, fate, labels)
            if not _ready(pod):
                break
            ready += 1
        done = ready == statefulset["spec"]["replicas"]
        current = {"currentRevision": revision} if done else {}
        self.store.set_status(
            key, replicas=max(ready, 1), readyReplicas=ready, updatedReplicas=ready, **current
        )

    def _controller_revision(self, statefulset: Object, template: Object) -> str:
        name = f"{statefulset['metadata']['name']}-{_hash(template)}"
        key = ("controllerrevisions", statefulset["metadata"]["namespace"], name)
        known = self._owned_by(statefulset, "controllerrevisions")
        newest = max((one["revision"] for one in known), default=0)
        stored = self.store.objects.get(key)
        if stored is None or stored["revision"] < newest:
            made = copy.deepcopy(stored) or _owned("apps/v1", "ControllerRevision", name, statefulset)
            made["data"] = {"spec": {"template": {**copy.deepcopy(template), "$patch": "replace"}}}
            made["revision"] = newest + 1
            self.store.put(key, made)
        return name

    def _pod(
        self, name: str, workload: Object, owner: Object, fate: Fate | None, labels: dict[str, str]
    ) -> Object:
        template = workload["spec"]["template"]
        pod = _owned("v1", "Pod", name, owner)
        pod["metadata"]["labels"] = {**template["metadata"]["labels"], **labels}
        pod["spec"] = copy.deepcopy(template["spec"])
        container = template["spec"]["containers"][0]
        status: Object = {"name": container["name"], "restartCount": 0, "state": {"running": {}}}
        match fate:
            case Fate.CRASHES:
                ended = {"terminated": {"exitCode": 3, "reason": "Error"}}
                status |= {"restartCount": 2, "lastState": ended}
                status |= _waiting("CrashLoopBackOff", "back-off 10s restarting failed container")
            case Fate.NOT_FOUND:
                status |= _waiting("ImagePullBackOff", f'Back-off pulling image "{container["image"]}"')
            case None if missing := self._missing_secret(workload):
                status |= _waiting("CreateContainerConfigError", f'secret "{missing}" not found')
                fate = Fate.HANGS
        ready = "True" if fate is None else "False"
        pod["status"] = {
            "phase": "Running" if fate is None else "Pending",
            "conditions": [
                {"type": "Ready", "status": ready, "message": "" if fate is None else "not ready"}
            ],
            "containerStatuses": [status],
        }
        stored = self.store.put(_key("pods", pod), pod)
        if fate is not None:
            self._event(stored, "Warning", "BackOff", f"the container {container['name']} does not start")
        return stored

    def _event(self, about: Object, kind: str, reason: str, message: str) -> None:
        name = f"{about['metadata']['name']}.{len(self.store.of('events'))}"
        event = _owned("v1", "Event", name, None, about["metadata"]["namespace"])
        involved = {"kind": about["kind"], **{key: about["metadata"][key] for key in ("name", "uid")}}
        event |= {"type": kind, "reason": reason, "message": message, "involvedObject": involved}
        event["lastTimestamp"] = f"2026-01-01T00:00:{len(self.store.of('events')):02}Z"
        self.store.put(_key("events", event), event)

    def _endpoints(self, namespace: str | None) -> None:
        """Keep a slice of ready pods for each Service, as the endpoint controller does."""
        for service in self.store.of("services", namespace):
            selector = service["spec"].get("selector", {}).items()
            pods = [
                pod
                for pod in self.store.of("pods", namespace)
                if selector <= pod["metadata"]["labels"].items()
            ]
            made = _owned("discovery.k8s.io/v1", "EndpointSlice", service["metadata"]["name"], service)
            made["metadata"]["labels"] = {"kubernetes.io/service-name": service["metadata"]["name"]}
            made["ports"] = [{"name": "http", "port": 8080}]
            made["endpoints"] = [
                {
                    "conditions": {"ready": _ready(pod)},
                    "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"]},
                }
                for pod in pods
            ]
            self.store.put(_key("endpointslices", made), made)

    def _fate(self, workload: Object) -> Fate | None:
        tag = image_tag(workload["spec"]["template"])
        return Fate(tag) if tag in set(Fate) else None

    def _missing_secret(self, workload: Object) -> str | None:
        for container in workload["spec"]["template"]["spec"]["containers"]:
            for variable in container.get("env", []):
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                name = reference["name"] if reference else None
                if name and ("secrets", workload["metadata"]["namespace"], name) not in self.store.objects:
                    return str(name)
        return None

    def _pods_of(self, owner: Object) -> list[Object]:
        return self._owned_by(owner, "pods")

    def _owned_by(self, owner: Object, plural: str) -> list[Object]:
        uid = owner["metadata"]["uid"]
        return [
            obj
            for obj in self.store.of(plural, owner["metadata"]["namespace"])
            if any(one["uid"] == uid for one in obj["metadata"].get("ownerReferences", []))
        ]


def image_tag(template: Object) -> str:
    """Return the tag of the first container's image."""
    image: str = template["spec"]["containers"][0]["image"]
    return image.rpartition(":")[2]


def _ready(pod: Object) -> bool:
    return bool(pod["status"]["conditions"][0]["status"] == "True")


def _key(plural: str, obj: Object) -> Key:
    return plural, obj["metadata"]["namespace"], obj["metadata"]["name"]


def _owned(
    api_version: str, kind: str, name: str, owner: Object | None, namespace: str | None = None
) -> Object:
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    if owner is not None:
        metadata["namespace"] = owner["metadata"]["namespace"]
        metadata["ownerReferences"] = [{"kind": owner["kind"], "uid": owner["metadata"]["uid"]}]
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _hash(template: Object) -> str:
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]


def _plain(template: Object) -> Object:
    plain = copy.deepcopy(template)
    plain["metadata"]["labels"].pop("pod-template-hash", None)
    return plain
