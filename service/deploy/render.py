"""Render an overlay with `kubectl kustomize`."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from pathlib import Path

import yaml

from service.deploy.errors import ConfigurationProblem
from service.deploy.objects import Manifest, in_apply_order

RENDER_TIMEOUT_S = 60.0


class _Loader(yaml.SafeLoader):
    """PyYAML gives a lone `=` a type that it cannot construct; kustomize leaves it unquoted."""


def _text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> object:
    return loader.construct_scalar(node)


_Loader.add_constructor("tag:yaml.org,2002:value", _text)


async def render(
    manifests: Path,
    overlay: str,
    namespace: str,
    *,
    kubectl: str = "kubectl",
    timeout_s: float = RENDER_TIMEOUT_S,
) -> list[Manifest]:
    """Return the overlay's objects in `namespace`, in the order in which they are to be applied.

    Raises `ConfigurationProblem` for an unknown overlay, a missing kubectl, a kustomization
    that does not build.
    """
    directory = _overlay_directory(manifests, overlay)
    with tempfile.TemporaryDirectory(prefix="aerolite-") as scratch:
        root = _wrap(directory, namespace, Path(scratch))
        try:
            async with asyncio.timeout(timeout_s):
                rendered = await _kustomize(kubectl, root, overlay)
        except TimeoutError:
            raise ConfigurationProblem(
                f"kubectl kustomize took more than {timeout_s:.0f} s for {overlay}"
            ) from None
    objects = [document for document in yaml.load_all(rendered, Loader=_Loader) if document]
    if not objects:
        raise ConfigurationProblem(f"the overlay {overlay} renders no object")
    return in_apply_order(objects)


def _overlay_directory(manifests: Path, overlay: str) -> Path:
    overlays = manifests.resolve() / "overlays"
    known = sorted(path.parent.name for path in overlays.glob("*/kustomization.yaml"))
    if not known:
        raise ConfigurationProblem(
            f"there are no overlays in {overlays}: run from a checkout or pass --manifests"
        )
    if overlay not in known:
        raise ConfigurationProblem(f"unknown overlay {overlay!r}; there are {', '.join(known)}")
    return overlays / overlay


def _wrap(directory: Path, namespace: str, scratch: Path) -> Path:
    """Write a kustomization that moves an overlay to a namespace.

    Kustomize moves the Namespace object and the subjects of bindings too, which a loop over the
    objects would miss.
    """
    root = scratch.resolve()
    wrapper = {"namespace": namespace, "resources": [os.path.relpath(directory, root)]}
    (root / "kustomization.yaml").write_text(json.dumps(wrapper), encoding="utf-8")
    return root


async def _kustomize(kubectl: str, root: Path, overlay: str) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            kubectl,
            "kustomize",
            str(root),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError:
        raise ConfigurationProblem(
            "kubectl is not on the PATH: it renders the overlays (kubectl kustomize)"
        ) from None
    try:
        output, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        reason = " ".join(complaint.decode(errors="replace").split()).removeprefix("error: ")
        raise ConfigurationProblem(f"the overlay {overlay} does not build: {reason}")
    return output.decode()
