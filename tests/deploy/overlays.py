"""Small overlays for tests, written where kustomize can read them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]

LABELS = {"app": "aerolite"}


def namespace() -> Object:
    """Return the namespace that overlays live in."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "aerolite"}}


def deployment(image: str = "aerolite:1", name: str = "aerolite", **spec: Any) -> Object:
    """Return a Deployment of three replicas that takes a password from a Secret."""
    reference = {"secretKeyRef": {"name": "aerolite-store", "key": "password"}}
    container = {
        "name": name,
        "image": image,
        "env": [{"name": "PASSWORD", "valueFrom": reference}],
    }
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            **spec,
        },
    }


def service(name: str = "aerolite") -> Object:
    """Return the Service in front of a Deployment of the same name."""
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": ports},
    }


def statefulset(image: str = "redis:7", name: str = "aerolite-store") -> Object:
    """Return a store with two replicas."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "serviceName": name,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "store", "image": image}]},
            },
        },
    }


def claim(size: str = "1Gi") -> Object:
    """Return a claim for a volume."""
    resources = {"requests": {"storage": size}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "aerolite-data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": resources},
    }


def configuration(**data: str) -> Object:
    """Return a ConfigMap."""
    metadata = {"name": "aerolite"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


class Overlays:
    """A manifests directory; each call of `write` makes or replaces an overlay."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.write_secrets({"aerolite-store": {"password": "random"}})

    def write(self, *objects: Object, name: str = "small") -> None:
        """Write an overlay of these objects."""
        overlay = self.directory / "overlays" / name
        overlay.mkdir(parents=True, exist_ok=True)
        kustomization = {"namespace": "aerolite", "resources": ["objects.yaml"]}
        (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
        content = yaml.safe_dump_all([copy.deepcopy(one) for one in objects])
        (overlay / "objects.yaml").write_text(content, encoding="utf-8")

    def write_secrets(self, recipes: Object) -> None:
        """Write the recipes of Secrets."""
        self.directory.mkdir(parents=True, exist_ok=True)
        content = yaml.safe_dump({"secrets": recipes})
        (self.directory / "secrets.yaml").write_text(content, encoding="utf-8")
