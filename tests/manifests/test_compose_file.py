"""docker-compose.yml: what holds for every service, without starting one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings

from .rendered import ROOT

FILE = ROOT / "docker-compose.yml"
DRAIN_BUDGET_S = 35


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """Read the services."""
    services: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]
    return services


def test_the_file_is_one_that_the_compose_plugin_accepts() -> None:
    """The file fits the published schema; docker-compose 1.29 runs it in the end-to-end tests."""
    run = subprocess.run(
        [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", FILE],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def of_profile(services: dict[str, dict[str, Any]], profile: str) -> set[str]:
    """List what a profile starts and keeps running."""
    return {
        name for name, each in services.items() if profile in each["profiles"] and each["restart"] != "no"
    }


def test_each_profile_has_an_api_a_worker_and_its_stores(services: dict[str, dict[str, Any]]) -> None:
    """Redis is in both profiles, PostgreSQL in the one that is named after it."""
    assert of_profile(services, "redis") == {"api", "worker", "redis"}
    assert of_profile(services, "postgres") == {"api-postgres", "worker-postgres", "redis", "postgres"}


def test_the_default_profile_is_the_one_with_redis() -> None:
    """The file .env, which docker-compose reads by itself, chooses the profile `redis` and no more."""
    lines = (ROOT / ".env").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["COMPOSE_PROFILES=redis"]


def test_a_dependency_is_in_every_profile_of_its_dependent(services: dict[str, dict[str, Any]]) -> None:
    """No profile starts a service without what it waits for, and waiting means health or success."""
    for name, each in services.items():
        for other, wait in each.get("depends_on", {}).items():
            assert set(each["profiles"]) <= set(services[other]["profiles"]), (name, other)
            lasting = services[other]["restart"] != "no"
            expected = "service_healthy" if lasting else "service_completed_successfully"
            assert wait == {"condition": expected}


def test_every_service_is_confined(services: dict[str, dict[str, Any]]) -> None:
    """Read-only root, no capability, no way to new privileges, bounded memory and processes."""
    for name, each in services.items():
        assert each["read_only"] is True, name
        assert each["cap_drop"] == ["ALL"], name
        assert each["security_opt"] == ["no-new-privileges:true"], name
        assert each["mem_limit"], name
        assert each["pids_limit"], name


def test_only_the_api_is_published_and_only_on_loopback(services: dict[str, dict[str, Any]]) -> None:
    """Nothing outside this machine can reach a port."""
    published = {name: each["ports"] for name, each in services.items() if "ports" in each}
    assert published == {name: ["127.0.0.1:${AEROLITE_PORT:-8080}:8080"] for name in ("api", "api-postgres")}


def test_the_stores_are_in_an_inner_network_only(services: dict[str, dict[str, Any]]) -> None:
    """Redis and PostgreSQL are in a network that is connected to nothing else."""
    networks = yaml.safe_load(FILE.read_text(encoding="utf-8"))["networks"]
    assert networks["stores"] == {"internal": True}
    assert services["redis"]["networks"] == services["postgres"]["networks"] == ["stores"]


def test_the_grace_covers_a_drain(services: dict[str, dict[str, Any]]) -> None:
    """The API and the worker get the 35 seconds that draining may take."""
    for name in ("api", "worker", "api-postgres", "worker-postgres"):
        assert services[name]["stop_grace_period"] == f"{DRAIN_BUDGET_S}s"


def test_redis_loses_nothing_that_it_acknowledged(services: dict[str, dict[str, Any]]) -> None:
    """The append-only file is synced at every write, on a volume, and nothing is evicted."""
    command = services["redis"]["command"]
    assert "--appendonly yes --appendfsync always" in command
    assert "--maxmemory-policy noeviction" in command
    assert "redis:/data" in services["redis"]["volumes"]


def test_clients_sql_has_a_bound_for_its_memory(services: dict[str, dict[str, Any]]) -> None:
    """What the statements of `SQL_CONCURRENCY` may take together fits into PostgreSQL's container."""
    data = services["postgres"]["ulimits"]["data"]
    assert Settings.from_env({}).sql_concurrency * data <= 1 << 30
    assert services["postgres"]["mem_limit"] == "2g"


def test_images_are_chosen_by_variables(services: dict[str, dict[str, Any]]) -> None:
    """Every image has a variable of its own, and a default with a version where it is not built here."""
    images = {each["image"] for each in services.values()}
    found = {match[1]: match[2] for image in images if (match := re.fullmatch(r"\$\{(\w+):-(.+)\}", image))}
    assert set(found) == {"AEROLITE_IMAGE", "REDIS_IMAGE", "POSTGRES_IMAGE"}
    assert len(found) == len(images)
    assert re.fullmatch(r"redis:\d+\.\d+\.\d+-bookworm", found["REDIS_IMAGE"])
    assert re.fullmatch(r"postgres:\d+\.\d+-bookworm", found["POSTGRES_IMAGE"])


def test_the_stores_have_the_versions_of_the_cluster(services: dict[str, dict[str, Any]]) -> None:
    """A laptop and the cluster run the same Redis and the same PostgreSQL."""
    for store in ("redis", "postgres"):
        component = ROOT / "manifests" / "components" / store / "kustomization.yaml"
        (pinned,) = yaml.safe_load(component.read_text(encoding="utf-8"))["images"]
        assert services[store]["image"].endswith(f":-{pinned['name']}:{pinned['newTag']}}}")


def test_no_password_is_written_down(services: dict[str, dict[str, Any]]) -> None:
    """A setting that holds a secret is empty here, or names a file that is made when the stack comes up."""
    for each in services.values():
        for name, value in each.get("environment", {}).items():
            if name.endswith("_FILE"):
                assert value.startswith("/run/secrets/")
            elif name.endswith(("PASSWORD", "_KEY", "_URL")):
                assert value in {"", f"${{{name}:-}}"}
