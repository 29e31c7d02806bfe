"""The stand-in, a manifests directory, and a progress that remembers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from service.deploy.cluster import Cluster, Patience
from service.deploy.diagnose import Diagnosis
from service.deploy.objects import Ref
from service.deploy.options import DeployOptions, Target
from service.deploy.resources import Resources
from service.deploy.rollout import RolloutState
from service.deploy.run import deploy
from tests.waiting import PATIENCE_S

from . import overlays as made
from .kube_api import KubeApi
from .overlays import Overlays

PATIENCE = Patience(connect_s=60, request_s=60, attempts=3, first_delay_s=0.01)


@dataclass
class Remembered:
    """A progress that keeps what it is told."""

    lines: list[str] = field(default_factory=list)
    diffs: list[str] = field(default_factory=list)
    states: list[tuple[str, RolloutState]] = field(default_factory=list)
    diagnoses: list[Diagnosis] = field(default_factory=list)

    def step(self, sentence: str) -> None:
        """Keep a heading."""
        self.lines.append(sentence)

    def note(self, sentence: str) -> None:
        """Keep a line."""
        self.lines.append(sentence)

    def diff(self, text: str) -> None:
        """Keep a diff."""
        self.diffs.append(text)

    def rollout(self, workload: Ref, state: RolloutState) -> None:
        """Keep a state."""
        self.states.append((str(workload), state))

    def diagnosis(self, diagnosis: Diagnosis) -> None:
        """Keep a diagnosis."""
        self.diagnoses.append(diagnosis)


@dataclass
class Bench:
    """One stand-in cluster and one manifests directory, and a deploy from one to the other."""

    api: KubeApi
    overlays: Overlays
    kubeconfig: Path

    @property
    def target(self) -> Target:
        """The stand-in's namespace `aerolite`."""
        return Target(kubeconfig=str(self.kubeconfig))

    async def deploy(self, **options: Any) -> Remembered:
        """Deploy the overlay `small`; raises what `deploy` raises, with `remembered` on it."""
        progress = Remembered()
        chosen = {
            "overlay": "small",
            "target": self.target,
            "manifests": self.overlays.directory,
            "timeout_s": PATIENCE_S,
            **options,
        }
        try:
            await deploy(DeployOptions(**chosen), progress, PATIENCE)
        except Exception as error:
            error.remembered = progress  # type: ignore[attr-defined]  # for the test that expects it
            raise
        return progress

    def live(self, plural: str, name: str) -> dict[str, Any]:
        """Return an object as the cluster has it."""
        return self.api.store.get(plural, "aerolite", name)

    def image(self, name: str = "aerolite", plural: str = "deployments") -> str:
        """Return the image that a workload is to run."""
        live = self.live(plural, name)
        image: str = live["spec"]["template"]["spec"]["containers"][0]["image"]
        return image

    def running(self, name: str = "aerolite") -> set[str]:
        """Return the images of a workload's pods."""
        return {
            pod["spec"]["containers"][0]["image"]
            for pod in self.api.store.of("pods", "aerolite")
            if pod["metadata"]["labels"]["app"] == name
        }


@pytest.fixture
async def api() -> AsyncIterator[KubeApi]:
    """Serve the stand-in."""
    async with KubeApi() as standing_in:
        yield standing_in


@pytest.fixture
def bench(api: KubeApi, tmp_path: Path) -> Bench:
    """Return an empty cluster and an overlay of a Deployment, a Service and a store."""
    overlays = Overlays(tmp_path / "manifests")
    overlays.write(made.namespace(), made.deployment(), made.service(), made.statefulset())
    return Bench(api, overlays, api.write_kubeconfig(tmp_path / "kubeconfig"))


@pytest.fixture
async def resources(api: KubeApi, tmp_path: Path) -> AsyncIterator[Resources]:
    """Connect to the stand-in."""
    path = api.write_kubeconfig(tmp_path / "kubeconfig")
    async with Cluster(Target(kubeconfig=str(path)), PATIENCE) as cluster:
        yield Resources(cluster)
