"""docker-compose.yml, brought up as a user would, with stand-in images and a free port."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import standins
from .client import Api, free_port
from .engine import Engine
from .machine import PROJECT, compose_command

COMPOSE_TIMEOUT_S = 600


class Stack:
    """One compose project. `profile` is None for the profile that .env names."""

    def __init__(self, engine: Engine, image: str, project: str, profile: str | None = None) -> None:
        self.engine = engine
        self.profile = profile
        self.api = Api(free_port())
        self._environment = {
            "COMPOSE_PROJECT_NAME": project,
            "AEROLITE_IMAGE": image,
            "AEROLITE_PORT": str(self.api.port),
            "REDIS_IMAGE": standins.image("redis"),
            "POSTGRES_IMAGE": standins.image("postgres"),
        }

    def compose(self, *arguments: str) -> str:
        """Run docker-compose in the checkout and return its output; raises `CommandFailed`."""
        profile = ("--profile", self.profile) if self.profile else ()
        return self.engine.run(
            *(*compose_command(), *profile, *arguments),
            timeout_s=COMPOSE_TIMEOUT_S,
            extra_environment=self._environment,
            folder=PROJECT,
        )

    def up(self) -> None:
        """Start everything and wait until the API is ready."""
        with self.explained():
            self.compose("up", "--detach", "--no-build")
            self.api.wait_ready()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Add what the containers have printed last to a check that fails inside."""
        try:
            yield
        except AssertionError as error:
            error.add_note(self.compose("logs", "--no-color", "--tail", "20"))
            raise

    def down(self, *options: str) -> None:
        """Stop and remove the containers; the volumes stay unless `--volumes` is given."""
        self.compose("down", *options)

    def container(self, service: str) -> str:
        """Return the id of a service's container, also of one that has stopped."""
        found = self._containers(
            "--all", "--quiet", "--filter", f"label=com.docker.compose.service={service}"
        )
        assert len(found) == 1, f"{service} has {len(found)} containers"
        return found[0]

    def services(self) -> list[str]:
        """List the services that run."""
        return self._containers("--format", '{{.Label "com.docker.compose.service"}}')

    def _containers(self, *options: str) -> list[str]:
        # Docker's own list: docker-compose takes ten times as long to give it.
        project = f"label=com.docker.compose.project={self._environment['COMPOSE_PROJECT_NAME']}"
        return self.engine.docker("ps", "--filter", project, *options).split()

    def inspect(self, service: str) -> dict[str, Any]:
        """Ask the engine about a service's container."""
        found: list[dict[str, Any]] = json.loads(self.engine.docker("inspect", self.container(service)))
        return found[0]

    def health(self, service: str) -> str:
        """Return `starting`, `healthy` or `unhealthy`."""
        status: str = self.inspect(service)["State"]["Health"]["Status"]
        return status
