"""What checkov finds in the rendered overlays, and why we keep it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .rendered import ROOT, Overlay

TIMEOUT_S = 500
EXCUSES = {
    "CKV_K8S_15": (
        {"aerolite", "aerolite-worker", "aerolite-redis", "aerolite-postgres", "aerolite-debug"},
        "tags are never moved, and an image loaded into kind or minikube is in no registry",
    ),
    "CKV_K8S_43": (
        {"aerolite", "aerolite-worker", "aerolite-redis", "aerolite-postgres", "aerolite-debug"},
        "a digest is known after the push: `aerolite deploy --image` sets the one that was built",
    ),
    "CKV_K8S_9": (
        {"aerolite-worker", "aerolite-debug"},
        "no Service sends them traffic",
    ),
    "CKV_K8S_8": ({"aerolite-debug"}, "it runs a shell, which nothing is to restart"),
}
"""By check: the names of the pods' owners that are excused from it, and the reason."""


def checkov() -> str:
    """Return checkov's path."""
    own = ROOT / ".venv-checkov" / "bin" / "checkov"
    found = str(own) if own.exists() else shutil.which("checkov")
    assert found, "checkov is missing: `make test` installs tests/manifests/checkov.txt into .venv-checkov"
    return found


@pytest.fixture(scope="module")
def findings(overlays: dict[str, Overlay], tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """Every failed check with the name of the object that failed it, over all overlays."""
    directory = tmp_path_factory.mktemp("rendered")
    for name, overlay in overlays.items():
        (directory / f"{name}.yaml").write_text(overlay.text, encoding="utf-8")
    report = _report(directory)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > len(overlays)
    return {
        (each["check_id"], each["resource"].rpartition(".")[2]) for each in report["results"]["failed_checks"]
    }


def _report(directory: Path) -> dict[str, Any]:
    run = subprocess.run(
        [
            checkov(),
            *("--skip-download", "--framework", "kubernetes"),
            *("--quiet", "--output", "json", "--directory", str(directory)),
        ],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        # Where it may keep a file, and no proxy or token that it could speak through.
        env={"PATH": os.environ["PATH"], "HOME": str(directory), "LOG_LEVEL": "ERROR"},
    )
    assert run.returncode in {0, 1}, run.stderr
    return json.loads(run.stdout)


def test_checkov_finds_what_is_excused_and_nothing_else(findings: set[tuple[str, str]]) -> None:
    """Each finding has an excuse, and each excuse is still needed."""
    excused = {(check, name) for check, (names, _) in EXCUSES.items() for name in names}
    assert findings == excused
