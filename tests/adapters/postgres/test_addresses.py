"""A URL that leads nowhere: one sentence says why, and never shows the password."""

from __future__ import annotations

import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from service.adapters.postgres import PostgresStorage
from service.domain.errors import StoreError, StoreUnavailable
from tests.clocks import FakeClock
from tests.servers.postgres import PASSWORD, USER, PostgresServer
from tests.servers.tls import as_postgres, tls_front
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[3]


async def refusal(url: str) -> StoreError:
    """Return why a storage on this URL does not answer."""
    with pytest.raises(StoreError) as caught:
        async with PostgresStorage(url, clock=FakeClock(), timeout_s=PATIENCE_S) as storage:
            await storage.ping()
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    assert caught.value.detail.endswith(".")
    assert not caught.value.detail.endswith("..")
    return caught.value


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        (PASSWORD, "wrong", "refuses the user or the password of the URL"),
        (f"{USER}:", "nobody:", "refuses the user or the password of the URL"),
        ("/postgres", "/absent", "has no such database"),
        ("127.0.0.1", "no-such-host.invalid", "its host name is unknown"),
        ("/postgres", "/postgres?sslmode=require", "rejected SSL upgrade"),
        ("/postgres", "/postgres?sslmode=verify-ca&sslrootcert=/absent.pem", "a file that the URL names"),
        (
            "/postgres",
            "/postgres?sslmode=maybe",
            "cannot be reached by this URL: `sslmode` parameter must be one of",
        ),
    ],
)
async def test_the_cause_is_named(server: PostgresServer, old: str, new: str, cause: str) -> None:
    """A wrong user, password, database, host or TLS setting is told as that."""
    url = server.url.replace(old, new)
    assert url != server.url
    assert cause in (await refusal(url)).detail


async def test_tls_is_spoken_and_checked(server: PostgresServer) -> None:
    """A certificate that is trusted is taken; one that is not is told as that, and may be another tomorrow."""
    with tls_front(server.port, as_postgres) as (port, certificate):
        url = f"postgresql://{USER}:{PASSWORD}@localhost:{port}/postgres?sslmode=verify-full&sslrootcert="
        async with PostgresStorage(f"{url}{certificate}", clock=FakeClock(), timeout_s=PATIENCE_S) as storage:
            await storage.ping()
        with tls_front(server.port) as (_, another):
            error = await refusal(f"{url}{another}")
    assert isinstance(error, StoreUnavailable)
    assert "(STORAGE_URL) cannot be reached by TLS (self-signed certificate)" in error.detail


async def test_a_port_where_nothing_listens_is_told(server: PostgresServer) -> None:
    """A server that is not there is unavailable, which is no reason to stop: it may come."""
    error = await refusal(server.url.replace(f":{server.port}/", ":1/"))
    assert isinstance(error, StoreUnavailable)
    assert (
        error.detail
        == "PostgreSQL at 127.0.0.1:1/postgres (STORAGE_URL) does not answer: nothing listens there."
    )


@pytest.mark.parametrize("address", ["[::1/d", "h:port/d", "h:99999/d", "h:-1/d"])
async def test_what_is_no_url_is_refused_at_once(address: str) -> None:
    """An address that cannot be read is refused before anything is opened."""
    error = await refusal(f"postgresql://{USER}:{PASSWORD}@{address}")
    assert not isinstance(error, StoreUnavailable)
    assert error.detail.startswith("STORAGE_URL is no URL of PostgreSQL: ")


async def test_a_password_in_a_parameter_is_not_shown() -> None:
    """A URL may carry the password as a parameter, where it is as secret."""
    error = await refusal(f"postgresql://127.0.0.1:1/d?user={USER}&password={PASSWORD}")
    assert error.detail == "PostgreSQL at 127.0.0.1:1/d (STORAGE_URL) does not answer: nothing listens there."


def test_a_missing_driver_is_told_in_a_sentence() -> None:
    """Without the extra the adapter cannot be imported, and says what to install."""
    program = "import sys; sys.modules['asyncpg'] = None; import service.adapters.postgres"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith(
        "StoreError: A postgresql: URL needs a driver that is not installed:"
        " pip install 'aerolite[postgres]'."
    )


async def test_nothing_is_opened_by_the_constructor() -> None:
    """A storage that is never entered has connected to nothing, and closing it is no error."""
    storage = PostgresStorage("postgresql://127.0.0.1:1/d", clock=FakeClock())
    await storage.__aexit__(None, None, None)
