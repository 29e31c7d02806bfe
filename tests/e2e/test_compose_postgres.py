"""`docker-compose --profile postgres up`: SQL and the jobs' results in PostgreSQL."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from .client import NEWEST_CONTRACT, wait_until
from .datasets import expected, load, stored
from .engine import Engine
from .stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

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


def query(stack: Stack, statement: str) -> Any:
    """Send a statement to /query and return its rows, or None where it has none."""
    body = json.dumps({"query": statement}).encode()
    kind = {"Content-Type": "application/json"} | NEWEST_CONTRACT
    answer = stack.api.request("POST", "/query", body=body, headers=kind)
    if answer.status == 503:  # nothing was done: the connection went down with PostgreSQL
        time.sleep(int(answer.headers["retry-after"]))
        answer = stack.api.request("POST", "/query", body=body, headers=kind)
    assert answer.status == 200, answer
    return answer.json()["result"] if answer.headers["content-type"].startswith("application/json") else None


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


def test_sql_is_postgresqls(stack: Stack) -> None:
    """A statement sent to /query is executed by PostgreSQL, as a role that can do nothing but that."""
    (row,) = query(stack, "select version() as version, current_user as name")
    assert row["version"].startswith("PostgreSQL ")
    attributes = "rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
    assert psql(stack, f"select {attributes} from pg_roles where rolname = '{row['name']}'") == "f|f|f|f|f"


def test_a_table_survives_a_restart_of_postgresql(stack: Stack) -> None:
    """What SQL has written is there after PostgreSQL was killed and started again."""
    assert query(stack, "create table notes (text text)") is None
    assert query(stack, "insert into notes values ('kept')") is None
    postgres = stack.container("postgres")
    stack.engine.docker("kill", postgres)
    stack.engine.docker("start", postgres)
    wait_until(lambda: stack.health("postgres") == "healthy", "postgres is healthy again")
    assert query(stack, "select text from notes") == [{"text": "kept"}]


def test_a_statement_that_takes_all_memory_takes_down_nobody(stack: Stack) -> None:
    """A process of PostgreSQL has a limit of its own: a statement beyond it fails, and the server goes on."""
    body = json.dumps({"query": "select length(repeat('x', 1000000000))"}).encode()
    kind = {"Content-Type": "application/json"} | NEWEST_CONTRACT
    started = psql(stack, "select pg_postmaster_start_time()")
    answer = stack.api.request("POST", "/query", body=body, headers=kind)
    assert answer.status == 422, answer
    assert "out of memory" in answer.json()["detail"]
    assert psql(stack, "select pg_postmaster_start_time()") == started


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
