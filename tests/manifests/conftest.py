"""Every overlay, rendered once for all tests."""

from __future__ import annotations

import pytest

from .rendered import OVERLAYS, Overlay, render, render_with


@pytest.fixture(scope="session")
def overlays(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Overlay]:
    """All overlays by name, and the fullest one with the debug pod beside it."""
    rendered = {name: render(name) for name in OVERLAYS}
    return rendered | {"full+debug": render_with("full", "debug", tmp_path_factory.mktemp("with-debug"))}


@pytest.fixture(params=[*OVERLAYS, "full+debug"])
def overlay(request: pytest.FixtureRequest, overlays: dict[str, Overlay]) -> Overlay:
    """One of them."""
    return overlays[request.param]
