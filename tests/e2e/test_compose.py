"""`docker-compose up`: the API, a worker and Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .client import FIRST_CONTRACT, NEWEST_CONTRACT, wait_until
from .datasets import expected, load, stored
from .engine import Engine
from .stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

LASTING = ["api", "redis", "worker"]


@pytest.fixture(scope="module")
def stack(engine: Engine, image: str) -> Iterator[Stack]:
    """Bring up the default profile, with data loaded."""
    stack = Stack(engine, image, "aerolite-redis")
    try:
        stack.up()
        with stack.explained():
            load(stack.api)
        yield stack
    finally:
        stack.down("--volumes")


def test_up_starts_the_api_a_worker_and_redis(stack: Stack) -> None:
    """`docker-compose up` without a profile runs exactly these three services."""
    assert sorted(stack.services()) == LASTING


@pytest.mark.parametrize("service", LASTING)
def test_every_service_becomes_healthy(stack: Stack, service: str) -> None:
    """Each service has a health check, and it passes."""
    wait_until(lambda: stack.health(service) == "healthy", f"{service} is healthy")


@pytest.mark.parametrize("service", LASTING)
def test_services_are_confined(stack: Stack, service: str) -> None:
    """No service has a capability, a writable root, a way to new privileges, or root's number."""
    found = stack.inspect(service)
    host = found["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] > 0
    user = stack.engine.docker("exec", stack.container(service), "id", "-u")
    assert int(user) != 0


def test_only_the_api_is_published_and_only_to_this_machine(stack: Stack) -> None:
    """The API's port is bound to 127.0.0.1, and no other service publishes one."""
    bound = {service: stack.inspect(service)["HostConfig"]["PortBindings"] or {} for service in LASTING}
    address = {"HostIp": "127.0.0.1", "HostPort": str(stack.api.port)}
    assert bound == {"api": {"8080/tcp": [address]}, "redis": {}, "worker": {}}


def test_redis_wants_its_password(stack: Stack) -> None:
    """Who reaches Redis without the generated password gets nothing."""
    said = stack.engine.docker("exec", stack.container("redis"), "redis-cli", "dbsize")
    assert "NOAUTH" in said


def test_redis_acknowledges_only_what_is_on_the_disk(stack: Stack) -> None:
    """Redis runs with its append-only file, synced at every write."""
    asked = """
        export REDISCLI_AUTH="$(cat /run/secrets/redis-password)"
        redis-cli config get appendonly
        redis-cli config get appendfsync
    """
    said = stack.engine.docker("exec", stack.container("redis"), "sh", "-c", asked).split()
    settings = dict(zip(said[::2], said[1::2], strict=True))
    assert (settings["appendonly"], settings["appendfsync"]) == ("yes", "always")


def test_the_first_contract_gets_the_values_as_they_were_loaded(stack: Stack) -> None:
    """A client of 2023-04-01 gets a bare array of the CSV's text, trailing zeros and all."""
    answer = stack.api.get("/data", FIRST_CONTRACT)
    assert answer.headers["api-version"] == "2023-04-01"
    assert answer.json() == expected()["old"]


def test_the_newest_contract_gets_typed_pages(stack: Stack) -> None:
    """A client of 2026-11-20 gets numbers as numbers, in a page that says how many there are."""
    answer = stack.api.get("/data", NEWEST_CONTRACT)
    page = answer.json()
    assert answer.headers["api-version"] == "2026-11-20"
    assert page["count"] == len(expected()["new"])
    assert page["records"] == expected()["new"][:100]


def test_the_worker_runs_a_job(stack: Stack) -> None:
    """A number posted to /fibonacci is computed by the worker and stands in the list."""
    accepted = stack.api.request(
        "POST",
        "/fibonacci",
        body=b'{"index": 9}',
        headers={**NEWEST_CONTRACT, "Content-Type": "application/json"},
    )
    assert accepted.status == 202, accepted
    wait_until(lambda: stack.api.get("/fibonacci").json()["values"].get("9") == "34", "F(9) is computed")


@pytest.mark.parametrize("service", LASTING)
def test_a_restart_loses_nothing(stack: Stack, service: str) -> None:
    """Whichever container is restarted, everything is there afterwards."""
    stack.compose("restart", service)
    wait_until(lambda: stack.health(service) == "healthy", f"{service} is healthy again")
    stack.api.wait_ready()
    assert stored(stack.api) == expected()


def test_a_killed_redis_comes_back_with_everything(stack: Stack) -> None:
    """While Redis is dead the API lives and says 503; afterwards all that was acknowledged is there."""
    added = stack.api.request(
        "PUT",
        "/datasets/last-words",
        body=b'[{"said": "just before"}]',
        headers={**NEWEST_CONTRACT, "Content-Type": "application/json"},
    )
    assert added.status == 201, added
    redis = stack.container("redis")
    stack.engine.docker("kill", redis)

    refused = stack.api.get("/data", NEWEST_CONTRACT)
    assert refused.status == 503
    assert int(refused.headers["retry-after"]) > 0
    assert stack.api.get("/livez").status == 200

    stack.engine.docker("start", redis)
    wait_until(lambda: stack.api.answers("/data"), "the data is readable again")
    assert stored(stack.api) == expected()
    last = stack.api.get("/datasets/last-words/records", NEWEST_CONTRACT).json()
    assert last["records"] == [{"said": "just before"}]


def test_down_and_up_keeps_the_data(stack: Stack) -> None:
    """`down` removes the containers and `up` finds everything again, under the same passwords."""
    stack.down()
    assert stack.services() == []
    stack.up()
    assert stored(stack.api) == expected()
