"""What can end a deploy, and with which exit code.

DeployError                  exit code
  ConfigurationProblem           2     usage or configuration; nothing was applied
  RolloutFailed                  1     applied, found wanting
  ApiProblem                     1     the API server refused a request
    Unreachable                  1     the API server does not answer at all
"""

from __future__ import annotations

from typing import ClassVar


class DeployError(Exception):
    """One sentence for the person at the terminal; `exit_code` for the pipeline."""

    exit_code: ClassVar[int] = 1


class ConfigurationProblem(DeployError):
    """The command cannot work as it was given; nothing was applied."""

    exit_code = 2


class RolloutFailed(DeployError):
    """A rollout, or the smoke test after it, did not come to a good end."""


class ApiProblem(DeployError):
    """The API server refused a request; `status` is HTTP's, `reason` Kubernetes' own word."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Unreachable(ApiProblem):
    """The API server did not answer: no route, no name, no time."""

    def __init__(self, message: str) -> None:
        super().__init__(0, "Unreachable", message)
