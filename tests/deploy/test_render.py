"""From the name of an overlay to objects."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.deploy.errors import ConfigurationProblem
from service.deploy.objects import Manifest, items_of
from service.deploy.options import SERVICE_NAME
from service.deploy.render import render
from service.deploy.validate import validate

from . import overlays as made
from .overlays import Overlays

MANIFESTS = Path(__file__).parents[2] / "manifests"


@pytest.fixture
def overlays(tmp_path: Path) -> Overlays:
    """Return a manifests directory with one overlay."""
    overlays = Overlays(tmp_path)
    overlays.write(made.deployment(), made.service(), made.namespace(), made.configuration(SIGN="="))
    return overlays


def find(objects: list[Manifest], kind: str) -> Manifest:
    """Return the only object of a kind."""
    (found,) = (one for one in objects if one["kind"] == kind)
    return found


async def test_objects_come_in_the_order_of_their_apply(overlays: Overlays) -> None:
    """What others need comes first."""
    objects = await render(overlays.directory, "small", "aerolite")

    assert [one["kind"] for one in objects] == ["Namespace", "ConfigMap", "Service", "Deployment"]


async def test_a_lone_equals_sign_is_text(overlays: Overlays) -> None:
    """Kustomize leaves `=` unquoted, which is a type of its own in YAML 1.1."""
    objects = await render(overlays.directory, "small", "aerolite")

    assert find(objects, "ConfigMap")["data"] == {"SIGN": "="}


async def test_an_overlay_moves_to_a_namespace_with_all_it_has(overlays: Overlays) -> None:
    """The Namespace object is renamed, everything else moves into it."""
    objects = await render(overlays.directory, "small", "elsewhere")

    assert find(objects, "Namespace")["metadata"]["name"] == "elsewhere"
    assert find(objects, "Deployment")["metadata"]["namespace"] == "elsewhere"


async def test_an_unknown_overlay_is_answered_with_the_known(overlays: Overlays) -> None:
    """A name that is no overlay, a path among them, gets the list of those there are."""
    overlays.write(made.namespace(), name="large")

    for name in ("medium", "../overlays/small", "", "."):
        with pytest.raises(ConfigurationProblem, match=r"unknown overlay .* there are large, small"):
            await render(overlays.directory, name, "aerolite")


async def test_a_directory_without_overlays(tmp_path: Path) -> None:
    """Somewhere else than in a checkout, the command says what it needs."""
    with pytest.raises(ConfigurationProblem, match="run from a checkout or pass --manifests"):
        await render(tmp_path, "local", "aerolite")


async def test_a_kustomization_that_does_not_build(overlays: Overlays) -> None:
    """Kustomize's complaint stands in one line."""
    (overlays.directory / "overlays/small/objects.yaml").unlink()

    with pytest.raises(ConfigurationProblem, match=r"small does not build: .*objects.yaml") as problem:
        await render(overlays.directory, "small", "aerolite")

    assert "\n" not in str(problem.value)


async def test_an_empty_overlay(overlays: Overlays) -> None:
    """An overlay without objects is a mistake."""
    (overlays.directory / "overlays/small/objects.yaml").write_text("", encoding="utf-8")

    with pytest.raises(ConfigurationProblem, match="renders no object"):
        await render(overlays.directory, "small", "aerolite")


async def test_without_kubectl(overlays: Overlays) -> None:
    """A missing kubectl is named."""
    with pytest.raises(ConfigurationProblem, match="kubectl is not on the PATH"):
        await render(overlays.directory, "small", "aerolite", kubectl="no-such-kubectl")


async def test_a_kubectl_that_does_not_end(overlays: Overlays, tmp_path: Path) -> None:
    """A render that hangs, as for a remote base that does not answer, is given up and killed."""
    endless = tmp_path / "endless"
    endless.write_text("#!/bin/sh\nexec sleep 1000\n", encoding="utf-8")
    endless.chmod(0o755)

    with pytest.raises(ConfigurationProblem, match="took more than 0 s for small"):
        await render(overlays.directory, "small", "aerolite", kubectl=str(endless), timeout_s=0.05)


async def test_the_overlays_of_this_project_are_valid() -> None:
    """Each overlay in manifests/ renders, passes every check, and has the Service to ask."""
    names = sorted(path.parent.name for path in MANIFESTS.glob("overlays/*/kustomization.yaml"))
    assert names
    for name in names:
        objects = await render(MANIFESTS, name, "aerolite")
        await validate(objects)
        assert find([one for one in objects if one["metadata"]["name"] == SERVICE_NAME], "Service")


def test_items_of_a_list_get_the_kind_that_it_states_once() -> None:
    """The API server leaves kind and version out of a list's items."""
    answer = {"kind": "PodList", "apiVersion": "v1", "items": [{"metadata": {"name": "p"}}]}

    assert items_of(answer) == [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}]
