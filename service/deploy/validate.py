"""Find broken objects before the cluster sees any of them."""

from __future__ import annotations

import asyncio
import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from service.deploy.errors import ConfigurationProblem
from service.deploy.objects import Manifest, containers, is_workload, pod_spec, ref_of

SchemaCheck = Callable[[Manifest], str | None]
"""Returns what is wrong with one object by its schema, or None."""

# RFC 1123, as the API server has it for most names.
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


async def validate(manifests: Sequence[Manifest]) -> None:
    """Check each object, and that they fit together.

    The schemas of kubernetes-validate are used where that package is installed; the server's dry
    run checks the schemas in any case. Raises `ConfigurationProblem` that lists what is wrong.
    """
    problems = [problem for manifest in manifests if (problem := _malformed(manifest))]
    if not problems:
        problems = [*_ill_fitting(manifests), *await asyncio.to_thread(_against_schemas, manifests)]
    if problems:
        raise ConfigurationProblem("; ".join(problems))


def _malformed(manifest: Any) -> str | None:
    if not isinstance(manifest, dict):
        return f"not an object: {manifest!r:.60}"
    kind, metadata = manifest.get("kind"), manifest.get("metadata")
    if not isinstance(kind, str) or not isinstance(manifest.get("apiVersion"), str):
        return f"an object without apiVersion or kind: {manifest!r:.60}"
    name = metadata.get("name") if isinstance(metadata, dict) else None
    # Names of roles and their bindings may hold colons.
    if not isinstance(name, str) or not _NAME.fullmatch(name.replace(":", ".")):
        return f"{kind}: {name!r} is no name of an object"
    if not _has_containers(manifest):
        return f"{kind}/{name}: its pods have no list of containers"
    return None


def _has_containers(manifest: Manifest) -> bool:
    spec = pod_spec(manifest)
    if not spec:
        return not is_workload(manifest)
    listed = [spec.get("containers"), spec.get("initContainers", [])]
    return all(isinstance(one, list) and all(isinstance(each, dict) for each in one) for one in listed)


def _ill_fitting(manifests: Sequence[Manifest]) -> Iterator[str]:
    for ref, times in Counter(map(ref_of, manifests)).items():
        if times > 1:
            yield f"{ref} is there {times} times"
    for manifest in manifests:
        for container in containers(manifest):
            if not container.get("image"):
                yield f"{ref_of(manifest)}: container {container.get('name')!r} has no image"
        if is_workload(manifest) and not _selects(_selector(manifest), _pod_labels(manifest)):
            yield f"{ref_of(manifest)}: its selector does not match its own pods"
        if manifest["kind"] == "Service" and not _has_pods(manifest, manifests):
            yield f"{ref_of(manifest)}: its selector matches no workload"


def _has_pods(service: Manifest, manifests: Sequence[Manifest]) -> bool:
    selector = (service.get("spec") or {}).get("selector")
    if not selector:  # without one, somebody else keeps the endpoints
        return True
    return any(_selects(selector, _pod_labels(one)) for one in manifests if is_workload(one))


def _selector(workload: Manifest) -> Manifest:
    selector = (workload.get("spec") or {}).get("selector") or {}
    labels: Manifest = selector.get("matchLabels") or {}
    return labels


def _pod_labels(workload: Manifest) -> Manifest:
    template = (workload.get("spec") or {}).get("template") or {}
    labels: Manifest = (template.get("metadata") or {}).get("labels") or {}
    return labels


def _selects(selector: Manifest, labels: Manifest) -> bool:
    return bool(selector) and selector.items() <= labels.items()


def _against_schemas(manifests: Sequence[Manifest]) -> list[str]:
    check = _schema_check()
    if check is None:
        return []
    return [problem for manifest in manifests if (problem := check(manifest))]


def _schema_check() -> SchemaCheck | None:
    try:
        library = importlib.import_module("kubernetes_validate")
    except ModuleNotFoundError:
        return None
    version = library.latest_version()

    def check(manifest: Manifest) -> str | None:
        try:
            library.validate(manifest, version, strict=True)
        except library.ValidationError as error:
            where = ".".join(map(str, error.path)) or "object"
            return f"{ref_of(manifest)}: {where}: {error.message:.200}"
        except library.SchemaNotFoundError:  # a custom resource: the server knows its schema
            return None
        return None

    return check
