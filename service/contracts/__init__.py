"""The past, described: one module per date says what differed until then; the code serves the newest only."""

from __future__ import annotations

from importlib import import_module, resources
from pkgutil import iter_modules

from service.contracts.lock import load, verify
from service.contracts.operations import OPERATIONS
from service.contracts.registry import Registry

LOCK = "contracts.lock"
SURFACE = "surface.json"


def registered() -> Registry:
    """Return the registry of all modules named `vYYYY_MM_DD`. Raises `DeclarationError`."""
    names = sorted(module.name for module in iter_modules(__path__) if module.name.startswith("v2"))
    return Registry([import_module(f"{__name__}.{name}").contract for name in names], OPERATIONS)


def released() -> Registry:
    """Return the registry, held against the committed lock. Raises `DeclarationError`."""
    registry = registered()
    verify(registry, load(resources.files(__name__).joinpath(LOCK).read_text("ascii")))
    return registry
