"""`docker-compose --profile postgres up`: SQL and the jobs' results in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .client import NEWEST_CONTRACT, wait_until
from .datasets import expected, load, stored
from .engine import Engine
from .stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

LASTING = ["api-postgres", "postgres", "redis", "worker-postgres"]


@pytest.fixture(scope="module")
def stack(engine: Engine, image: str) -> Iterator[Stack]:
    """Bring up the profile `postgres` over volumes that the default profile has filled."""
    before = Stack(engine, image, "aerolite-postgres")
    after = Stack(engine, image, "aerolite-postgres", profile="postgres")
    try:
        before.up()
        with before.explained():
            load(before.api)
        before.down()
        after.up()
        yield after
    finally:
        after.down("--volumes", "--remove-orphans")


def psql(stack: Stack, statement: str) -> str:
    """Ask PostgreSQL itself, as its superuser."""
    command = ("psql", "-U", "aerolite", "-d", "aerolite", "-At", "-c", statement)
    return stack.engine.docker("exec", stack.container("postgres"), *command)


def test_the_profile_adds_postgresql(stack: Stack) -> None:
    """The profile runs PostgreSQL beside Redis, and an API and a worker that use both."""
    assert sorted(stack.services()) == LASTING


@pytest.mark.parametrize("service", LASTING)
def test_every_service_becomes_healthy(stack: Stack, service: str) -> None:
    """Each service has a health check, and it passes."""
    wait_until(lambda: stack.health(service) == "healthy", f"{service} is healthy")


def test_the_datasets_stay_where_they_were(stack: Stack) -> None:
    """What was loaded under the default profile is there under this one."""
    assert stored(stack.api) == expected()


def test_postgresql_publishes_no_port_and_is_confined(stack: Stack) -> None:
    """PostgreSQL is reached from the inner network alone and runs without any privilege."""
    host = stack.inspect("postgres")["HostConfig"]
    assert not host["PortBindings"]
    assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"])
    assert stack.engine.docker("exec", stack.container("postgres"), "id", "-u") == "999"


def test_a_table_survives_a_restart_of_postgresql(stack: Stack) -> None:
    """What SQL has written is there after PostgreSQL was killed and started again."""
    psql(stack, "create table notes (text text)")
    psql(stack, "insert into notes values ('kept')")
    postgres = stack.container("postgres")
    stack.engine.docker("kill", postgres)
    stack.engine.docker("start", postgres)
    wait_until(lambda: stack.health("postgres") == "healthy", "postgres is healthy again")
    assert psql(stack, "select text from notes").strip() == "kept"


def test_the_jobs_results_move_to_postgresql(stack: Stack) -> None:
    """What /fibonacci has seen stands in PostgreSQL, and is there after a restart of everything."""
    accepted = stack.api.request(
        "POST",
        "/fibonacci",
        body=b'{"index": 90}',
        headers={**NEWEST_CONTRACT, "Content-Type": "application/json"},
    )
    assert accepted.status == 202, accepted
    wait_until(lambda: 90 in stack.api.get("/fibonacci").json()["seen"], "F(90) is computed")
    assert psql(stack, "select index from aerolite_jobs.seen") == "90"
    stack.down()
    stack.up()
    assert 90 in stack.api.get("/fibonacci").json()["seen"]
