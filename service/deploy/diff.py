"""Show what an apply would change."""

from __future__ import annotations

import copy
import difflib
from typing import Any

import yaml

from service.deploy.objects import Manifest, ref_of

# The server's book-keeping, which changes with every write.
_BOOKKEEPING = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def unified_diff(before: Manifest | None, after: Manifest) -> str:
    """Return the lines by which two states of an object differ; empty where they do not.

    Values of Secrets are hidden, and whether they change is not.
    """
    name = str(ref_of(after))
    if after["kind"] == "Secret":
        before, after = _hidden(before, after)
    lines = difflib.unified_diff(
        _lines(before),
        _lines(after),
        fromfile=f"live/{name}" if before else "/dev/null",
        tofile=f"next/{name}",
    )
    return "".join(lines)


def _lines(manifest: Manifest | None) -> list[str]:
    if manifest is None:
        return []
    shown = copy.deepcopy(manifest)
    shown.pop("status", None)
    metadata = shown["metadata"]
    for key in _BOOKKEEPING:
        metadata.pop(key, None)
    annotations = metadata.get("annotations") or {}
    annotations.pop(_LAST_APPLIED, None)
    if not annotations:
        metadata.pop("annotations", None)
    text: str = yaml.safe_dump(shown, default_flow_style=False, width=1000)
    return text.splitlines(keepends=True)


def _hidden(before: Manifest | None, after: Manifest) -> tuple[Manifest | None, Manifest]:
    old, new = copy.deepcopy(before), copy.deepcopy(after)
    for field in ("data", "stringData"):
        known: dict[str, Any] = (before or {}).get(field) or {}
        if old and field in old:
            old[field] = dict.fromkeys(known, "(hidden)")
        if field in new:
            new[field] = {
                key: "(hidden)" if known.get(key, value) == value else "(hidden, changed)"
                for key, value in (new[field] or {}).items()
            }
    return old, new
