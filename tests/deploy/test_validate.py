"""Broken objects are found before the cluster sees any."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.deploy.errors import ConfigurationProblem
from service.deploy.validate import validate

from . import overlays as made

Object = dict[str, Any]


def changed(manifest: Object, *path: str | int, to: Any) -> Object:
    """Return a manifest with one value changed."""
    result = copy.deepcopy(manifest)
    here: Any = result
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = to
    return result


GOOD = made.deployment()
POD = ("spec", "template", "spec")


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        ("text", "not an object: 'text'"),
        ({"kind": "Pod"}, "without apiVersion or kind"),
        ({"apiVersion": "v1", "kind": 7}, "without apiVersion or kind"),
        (changed(GOOD, "metadata", to=None), "Deployment: None is no name"),
        (changed(GOOD, "metadata", "name", to="No_Name"), "'No_Name' is no name"),
        (changed(GOOD, *POD, "containers", to=None), "its pods have no list of containers"),
        (changed(GOOD, *POD, "containers", to=["x"]), "its pods have no list of containers"),
        (changed(GOOD, "spec", to={}), "its pods have no list of containers"),
        (changed(GOOD, *POD, "containers", 0, "image", to=""), "container 'aerolite' has no image"),
        (changed(GOOD, "spec", "template", "metadata", to={}), "selector does not match its own pods"),
        (changed(GOOD, "spec", "replicas", to="three"), "spec.replicas: 'three' is not"),
        (changed(GOOD, "spec", "replicsa", to=3), "'replicsa' was unexpected"),
        (made.service("other"), "Service/other: its selector matches no workload"),
        (made.deployment(), "Deployment/aerolite is there 2 times"),
    ],
)
async def test_a_broken_object(broken: Any, complaint: str) -> None:
    """Each mistake has a sentence that names the object."""
    with pytest.raises(ConfigurationProblem) as problem:
        await validate([made.deployment(), broken])

    assert complaint in str(problem.value)


async def test_all_mistakes_are_listed_at_once() -> None:
    """Nobody has to find them one after the other."""
    with pytest.raises(ConfigurationProblem) as problem:
        await validate([changed(GOOD, "spec", "replicas", to="three"), made.service("other")])

    assert "Service/other" in str(problem.value)
    assert "'three'" in str(problem.value)


async def test_good_objects_pass() -> None:
    """Services without a selector, bindings with colons and custom resources are fine."""
    headless = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {}}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "a:b"}}
    custom = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "w"}}

    await validate([GOOD, made.service(), made.statefulset(), made.claim(), headless, role, custom])


async def test_jobs_and_plain_pods_are_looked_into() -> None:
    """Every kind that runs a pod is searched for containers without image."""
    pod = {"containers": [{"name": "c"}]}
    meta = {"metadata": {"name": "x"}}
    plain = {"apiVersion": "v1", "kind": "Pod", **meta, "spec": pod}
    inner = {"spec": {"template": {"spec": pod}}}
    timed = {"apiVersion": "batch/v1", "kind": "CronJob", **meta, "spec": {"jobTemplate": inner}}

    for manifest in (plain, timed):
        with pytest.raises(ConfigurationProblem, match="container 'c' has no image"):
            await validate([manifest])


def test_without_the_schemas_the_rest_is_checked(tmp_path: Path) -> None:
    """Where kubernetes-validate is not installed, objects still have to fit together."""
    (tmp_path / "kubernetes_validate.py").write_text(
        "raise ModuleNotFoundError(name='kubernetes_validate')", encoding="utf-8"
    )
    program = (
        "import asyncio, sys\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "from service.deploy.validate import validate\n"
        "from tests.deploy import overlays\n"
        "asyncio.run(validate([overlays.deployment(replicas='three')]))\n"
        "asyncio.run(validate([overlays.service('other')]))\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "its selector matches no workload" in ended.stderr
    assert "three" not in ended.stderr
