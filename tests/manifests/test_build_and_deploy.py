"""`scripts/build-and-deploy`, run with stand-ins that write down how they were called."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .rendered import ROOT

SCRIPT = ROOT / "scripts" / "build-and-deploy"
TOOLS = ("make", "docker", "kind", "minikube", "aerolite", "curl", "kubectl", "sleep")
STAND_IN = """#!/bin/sh
echo "${0##*/} $*" >> "$CALLS"
case "$*" in "$FAILS"*) [ -z "$FAILS" ] || exit 3 ;; esac
case "${0##*/} $*" in
  "kubectl config current-context") echo "$CONTEXT" ;;
  "kubectl get nodes"*) echo 198.51.100.4 ;;
  *" ingress aerolite"*metadata.name*) echo "$INGRESS" ;;
  *" ingress aerolite"*host}) echo "$INGRESS" ;;
  *"loadBalancer"*) echo 198.51.100.7 ;;
  *"spec.type"*) echo "$SERVICE_TYPE" ;;
  *"nodePort"*) echo 31234 ;;
esac
"""


class Run:
    """One run of the script: its exit status, what it said, and the calls that it made."""

    def __init__(self, scratch: Path, *arguments: str, **environment: str) -> None:
        for tool in TOOLS:
            (scratch / tool).write_text(STAND_IN, encoding="utf-8")
            (scratch / tool).chmod(0o755)
        calls = scratch / "calls"
        defaults = {"CONTEXT": "kind-local", "INGRESS": "", "SERVICE_TYPE": "ClusterIP", "FAILS": ""}
        finished = subprocess.run(
            [SCRIPT, *arguments],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env={
                **defaults,
                "PATH": f"{scratch}:{os.environ['PATH']}",
                "CALLS": str(calls),
                "TAG": "1.2.3",
                **environment,
            },
        )
        self.status = finished.returncode
        self.said = finished.stdout + finished.stderr
        self.calls = calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []

    def made(self, beginning: str) -> str:
        """Return the one call that begins so."""
        (found,) = [call for call in self.calls if call.startswith(beginning)]
        return found


def test_it_tests_builds_loads_deploys_and_asks_in_this_order(tmp_path: Path) -> None:
    """Each step comes after the one it depends on, with the same image all along."""
    run = Run(tmp_path, "full", INGRESS="a.example")
    assert run.status == 0, run.said
    steps = [call for call in run.calls if not call.startswith("kubectl")]
    assert [step.split()[0] for step in steps] == ["make", "docker", "kind", "aerolite", "curl"]
    assert run.made("docker build").endswith("--tag aerolite:1.2.3 .")
    assert run.made("kind") == "kind load docker-image aerolite:1.2.3 --name local"
    assert run.made("aerolite") == "aerolite deploy full --image aerolite:1.2.3"


@pytest.mark.parametrize("step", ["test", "build", "load", "deploy"])
def test_a_step_that_fails_is_the_last_one(tmp_path: Path, step: str) -> None:
    """Nothing comes after a failed step, and the script fails."""
    run = Run(tmp_path, FAILS=step)
    assert run.status != 0
    assert run.calls[-1].split()[1] == step


def test_a_registry_is_pushed_to(tmp_path: Path) -> None:
    """With REGISTRY the image is named after it, pushed, and loaded nowhere."""
    run = Run(tmp_path, "cloud-redis", REGISTRY="registry.example/team", CONTEXT="gke")
    image = "registry.example/team/aerolite:1.2.3"
    assert run.made("docker push") == f"docker push {image}"
    assert run.made("aerolite") == f"aerolite deploy cloud-redis --image {image}"
    assert not [call for call in run.calls if call.startswith(("kind", "minikube"))]


def test_minikube_loads_the_image_itself(tmp_path: Path) -> None:
    """In the context minikube the image goes there without a registry."""
    assert Run(tmp_path, CONTEXT="minikube").made("minikube") == "minikube image load aerolite:1.2.3"


@pytest.mark.parametrize(
    ("environment", "call"),
    [
        (
            {"INGRESS": "a.example", "SERVICE_TYPE": "ClusterIP"},
            "http://a.example/api/readyz --connect-to a.example:80:198.51.100.7:80",
        ),
        ({"SERVICE_TYPE": "LoadBalancer"}, "http://198.51.100.7/api/readyz"),
        ({"SERVICE_TYPE": "NodePort"}, "http://198.51.100.4:31234/api/readyz"),
    ],
)
def test_it_asks_the_way_the_outside_does(tmp_path: Path, environment: dict[str, str], call: str) -> None:
    """The one GET takes the Ingress, the load balancer or the node's port, whichever there is."""
    asked = Run(tmp_path, **environment).made("curl")
    assert all(word in asked.split() for word in call.split()), asked


def test_without_a_way_in_it_says_so(tmp_path: Path) -> None:
    """An overlay that nothing leads into is deployed, and the command that leads in is told."""
    run = Run(tmp_path)
    assert run.status == 0
    assert "port-forward service/aerolite" in run.said


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        (["nowhere"], {}, "there is no overlay nowhere"),
        (["local"], {"FAILS": "config"}, "kubectl knows no current context"),
        (["local"], {"CONTEXT": "production"}, "the context production is neither kind nor minikube"),
        (["local", "full"], {}, "Usage:"),
    ],
)
def test_what_cannot_work_is_said_in_one_sentence(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], sentence: str
) -> None:
    """A wrong argument, no cluster or no way to deliver the image is noticed before any work."""
    run = Run(tmp_path, *arguments, **environment)
    assert run.status != 0
    assert sentence in run.said
    assert all(call == "kubectl config current-context" for call in run.calls)


def test_it_explains_itself(tmp_path: Path) -> None:
    """`--help` says what it takes, and does nothing."""
    run = Run(tmp_path, "--help")
    assert (run.status, run.calls) == (0, [])
    assert "REGISTRY" in run.said
