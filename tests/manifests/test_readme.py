"""What manifests/README.md tells people to do."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from service.deploy.credentials import load_recipes

from .rendered import MANIFESTS, OVERLAYS, Overlay, kustomize

README = (MANIFESTS / "README.md").read_text(encoding="utf-8")
# Writes the arguments down, and the contents of files that are named as FILE in KEY=FILE.
STAND_IN = """#!/bin/bash
case "$*" in
  *"create secret"*)
    for argument in "$@"; do
      file=${argument#--from-file=}
      [[ $file == "$argument" ]] || printf '%s/%s %s\\n' "$6" "${file%%=*}" "$(cat "${file#*=}")"
    done >> "$CALLS" ;;
  apply*) cat > "$CALLS.applied" ;;
esac
"""


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_it_lists_every_overlay_and_component() -> None:
    """Both tables are complete."""
    components = [path.parent.name for path in MANIFESTS.glob("components/*/kustomization.yaml")]
    for name in [f"overlays/{overlay}" for overlay in OVERLAYS] + components:
        assert f"`{name}`" in README


def test_its_commands_make_the_secrets_that_deploy_would(tmp_path: Path) -> None:
    """Run as they stand, they make each key of each recipe, in the form of the recipe."""
    (tmp_path / "kubectl").write_text(STAND_IN, encoding="utf-8")
    (tmp_path / "kubectl").chmod(0o755)
    calls = tmp_path / "calls"
    (script,) = [block for block in blocks("sh") if "create secret" in block]
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(calls)},
        check=True,
        timeout=300,
    )
    made = dict(line.split(maxsplit=1) for line in calls.read_text(encoding="utf-8").splitlines())
    recipes = load_recipes(MANIFESTS / "secrets.yaml")
    assert made.keys() == {f"{name}/{key}" for name, keys in recipes.items() for key in keys}
    for name, keys in recipes.items():
        for key, recipe in keys.items():
            if recipe == "random":
                assert re.fullmatch(r"[A-Za-z0-9_-]{32}", made[f"{name}/{key}"])
            else:
                wanted = recipe.removeprefix("template:")
                wanted = wanted.replace(f"{{{name}/password}}", made[f"{name}/password"])
                assert made[f"{name}/{key}"] == wanted


def test_its_example_of_an_overlay_builds(tmp_path: Path) -> None:
    """The overlay that one is told to write changes image, setting, host and class."""
    (example,) = blocks("yaml")
    full = os.path.relpath(MANIFESTS / "overlays" / "full", tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(example.replace("../full", full), encoding="utf-8")
    overlay = Overlay("example", kustomize(tmp_path))
    (container,) = overlay.pod("worker").containers
    assert container["image"] == "registry.example.com/team/aerolite:1.2.3"
    assert overlay.environment(container)["ANONYMOUS_SCOPES"] == "read"
    ingress = overlay.find("Ingress", "aerolite")["spec"]
    assert ingress["rules"][0]["host"] == "data.example.com"
    assert ingress["ingressClassName"] == "traefik"
