"""Overlays as `kubectl kustomize` renders them, and the pods in them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
OVERLAYS = sorted(path.parent.name for path in MANIFESTS.glob("overlays/*/kustomization.yaml"))
NAMESPACE = "aerolite"
RENDER_TIMEOUT_S = 300
UNITS = {"": 1, "m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}

Object = dict[str, Any]


def quantity(text: str) -> float:
    """Read a Kubernetes quantity: `250m`, `2Gi`."""
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", text).groups()
    return float(number) * UNITS[unit]


@dataclass(frozen=True)
class Pod:
    """What a workload runs: `owner` is `Kind/name`, `role` the label that policies select by."""

    owner: str
    labels: dict[str, str]
    annotations: dict[str, str]
    spec: Object

    @property
    def role(self) -> str:
        """The part it plays: api, worker, redis, postgres or debug."""
        return self.labels["app.kubernetes.io/component"]

    @property
    def containers(self) -> list[Object]:
        """All its containers, init containers first."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def ports(self) -> dict[str, int]:
        """Its named ports."""
        return {
            port["name"]: port["containerPort"]
            for container in self.containers
            for port in container.get("ports", [])
        }

    def volume(self, path: str) -> Object:
        """Return the volume on which an absolute path lies, an empty mapping if that is the image."""
        mounts = [
            mount
            for container in self.containers
            for mount in container.get("volumeMounts", [])
            if Path(path).is_relative_to(mount["mountPath"])
        ]
        if not mounts:
            return {}
        name = max(mounts, key=lambda mount: len(mount["mountPath"]))["name"]
        claims = {"name": name, "persistentVolumeClaim": {"claimName": name}}
        return next((each for each in self.spec["volumes"] if each["name"] == name), claims)


@dataclass(frozen=True)
class Overlay:
    """The objects of one rendering; `name` is the overlay's, with what was added to it."""

    name: str
    text: str = field(repr=False)

    @cached_property
    def objects(self) -> list[Object]:
        """Every object, in the order in which kubectl applies them."""
        return list(yaml.safe_load_all(self.text))

    def of_kind(self, kind: str) -> list[Object]:
        """Return the objects of one kind."""
        return [each for each in self.objects if each["kind"] == kind]

    def find(self, kind: str, name: str) -> Object:
        """Return the one object of that kind and name."""
        (found,) = [each for each in self.of_kind(kind) if each["metadata"]["name"] == name]
        return found

    @cached_property
    def pods(self) -> list[Pod]:
        """One pod for each workload."""
        return list(self._pods())

    def _pods(self) -> Iterator[Pod]:
        for each in self.objects:
            owner = f"{each['kind']}/{each['metadata']['name']}"
            template = each if each["kind"] == "Pod" else each.get("spec", {}).get("template")
            if template is not None:
                metadata = template["metadata"]
                yield Pod(owner, metadata["labels"], metadata.get("annotations", {}), template["spec"])

    def pod(self, role: str) -> Pod:
        """Return the pod that plays a role."""
        (found,) = [pod for pod in self.pods if pod.role == role]
        return found

    @property
    def roles(self) -> set[str]:
        """The roles that are played."""
        return {pod.role for pod in self.pods}

    def environment(self, container: Object) -> dict[str, str]:
        """Return what a container's manifest puts into its environment."""
        variables: dict[str, str] = {}
        for source in container.get("envFrom", []):
            variables |= self.find("ConfigMap", source["configMapRef"]["name"])["data"]
        return variables | {each["name"]: each["value"] for each in container.get("env", [])}


def render(name: str) -> Overlay:
    """Render one overlay."""
    return Overlay(name, kustomize(MANIFESTS / "overlays" / name))


def render_with(name: str, component: str, scratch: Path) -> Overlay:
    """Render an overlay with a component that it does not list, from a kustomization in `scratch`."""
    # kustomize takes relative paths only, and resolves links first.
    scratch = scratch.resolve()
    kustomization = {
        "namespace": NAMESPACE,
        "resources": [os.path.relpath(MANIFESTS / "overlays" / name, scratch)],
        "components": [os.path.relpath(MANIFESTS / "components" / component, scratch)],
    }
    (scratch / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    return Overlay(f"{name}+{component}", kustomize(scratch))


def kustomize(directory: Path) -> str:
    """Return what `kubectl kustomize` prints for a directory."""
    kubectl = shutil.which("kubectl")
    assert kubectl, "kubectl (1.27 or newer) must be on the PATH: it renders the overlays"
    run = subprocess.run(
        [kubectl, "kustomize", str(directory)],
        capture_output=True,
        text=True,
        timeout=RENDER_TIMEOUT_S,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout
