"""What a deploy command was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SERVICE_NAME = "aerolite"
"""The Deployment, the Service and the image are all called so."""

DEFAULT_TIMEOUT_S = 600.0
"""As long as a Deployment's default progress deadline."""


@dataclass(frozen=True)
class Target:
    """Which cluster, and which namespace of it."""

    namespace: str = SERVICE_NAME
    context: str | None = None
    kubeconfig: str | None = None
    """One path or several, separated as in the variable KUBECONFIG."""


@dataclass(frozen=True)
class DeployOptions:
    """The arguments of `aerolite deploy`."""

    overlay: str
    target: Target = Target()
    images: tuple[str, ...] = ()
    """Each `REFERENCE` (for the image `aerolite`) or `NAME=REFERENCE`."""
    dry_run: bool = False
    wait: bool = True
    timeout_s: float = DEFAULT_TIMEOUT_S
    manifests: Path = Path("manifests")


@dataclass(frozen=True)
class RolloutOptions:
    """The arguments of `aerolite rollout …`."""

    target: Target = Target()
    name: str | None = None
    """`NAME`, `deployment/NAME` or `statefulset/NAME`."""
    wait: bool = True
    timeout_s: float = DEFAULT_TIMEOUT_S
