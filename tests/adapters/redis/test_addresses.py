"""URLs, users and TLS: what works is spoken, what does not is told with its cause."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.adapters.redis import RedisStorage
from service.domain.errors import StoreError, StoreUnavailable
from tests.clocks import FakeClock
from tests.contract.steps import everything, keyed, load, records
from tests.servers.redis import PASSWORD, RedisServer
from tests.servers.tls import tls_front
from tests.waiting import PATIENCE_S


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis",
        "http://localhost",
        f"redis://:{PASSWORD}@localhost:port/0",
        f"redis://:{PASSWORD}@localhost:6379/first",
        f"redis://:{PASSWORD}@localhost:6379/0?nonsense=1",
        f"redis://:{PASSWORD}@localhost:6379/0?ssl_ca_certs=x",
        f"redis://:{PASSWORD}@localhost:6379/0?socket_timeout=soon",
        f"rediss://:{PASSWORD}@localhost:6379/0?ssl_cert_reqs=perhaps",
        f"redis://:{PASSWORD}@one:6379,two:6379/0",
        f"redis+cluster://:{PASSWORD}@one:6379,two:6379/3",
    ],
)
async def test_a_wrong_url_is_refused_on_entering(url: str, clock: FakeClock) -> None:
    """Waiting cannot help: it raises at once, names the setting, and never shows the password."""
    with pytest.raises(StoreError, match="STORAGE_URL") as caught:
        async with RedisStorage(url, clock=clock, timeout_s=PATIENCE_S):
            pytest.fail("entering should have raised")
    assert type(caught.value) is StoreError
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda url: url.replace(PASSWORD, "wrong"), "refused the user or the password"),
        (lambda url: url.replace(f":{PASSWORD}", f"nobody:{PASSWORD}"), "refused the user or the password"),
        (lambda url: url.replace(f":{PASSWORD}@", ""), "refused the user or the password"),
        (lambda url: url.removesuffix("0") + "99", "has no database of that number"),
        (lambda url: url.replace("redis://", "redis+cluster://"), "is no node of a cluster"),
        (lambda url: url.replace("redis://", "rediss://"), "with TLS .* does not answer"),
        (lambda url: f"redis://:{PASSWORD}@127.0.0.1:1/0", "does not answer .*111"),
        (lambda url: f"redis+cluster://:{PASSWORD}@127.0.0.1:1", "does not answer .*111"),
        (lambda url: f"redis://:{PASSWORD}@no-such-host.invalid/0", "does not answer .*no-such-host"),
    ],
)
async def test_a_server_that_refuses_is_told_with_its_cause(
    server: RedisServer, clock: FakeClock, change: Callable[[str], str], cause: str
) -> None:
    """Entering waits for the server; then the answer names setting, server and cause, not the password."""
    url = change(server.url)
    assert url != server.url
    # Only who is spoken to in a language that he does not know never answers.
    timeout_s = 0.5 if "with TLS" in cause else PATIENCE_S
    async with RedisStorage(url, clock=clock, timeout_s=timeout_s) as storage:
        for call in (storage.ping, storage.datasets.datasets):
            with pytest.raises(StoreUnavailable, match=cause) as caught:
                await call()
            assert "(STORAGE_URL)" in str(caught.value)
            assert PASSWORD not in repr(caught.value.__dict__) + str(caught.value)


async def test_an_option_that_is_none_is_named(clock: FakeClock) -> None:
    """Whoever mistypes an option of the driver reads which."""
    with pytest.raises(StoreError, match="nonsense is no option"):
        async with RedisStorage("redis://localhost/0?nonsense=1", clock=clock):
            pytest.fail("entering should have raised")


async def test_tls_is_spoken_and_checked(server: RedisServer, clock: FakeClock) -> None:
    """`rediss://` works with a certificate that is trusted, and tells why it does not trust another."""
    with tls_front(server.port) as (port, certificate):
        address = f":{PASSWORD}@localhost:{port}/0"
        trusted = f"rediss://{address}?ssl_ca_certs={certificate}"
        async with RedisStorage(trusted, clock=clock, timeout_s=PATIENCE_S) as storage:
            await storage.ping()
            await load(storage, keyed(range(3)))
            assert await everything(storage) == records(range(3))
        for url, cause, timeout_s in (
            (f"rediss://{address}", "certificate", PATIENCE_S),
            (
                f"rediss://{address}?ssl_ca_certs=/absent.pem",
                "file that the URL names cannot be read: No such",
                PATIENCE_S,
            ),
            (f"redis://{address}", "does not answer", 0.5),
        ):
            async with RedisStorage(url, clock=clock, timeout_s=timeout_s) as storage:
                with pytest.raises(StoreUnavailable, match=cause):
                    await storage.ping()


async def test_a_user_without_config_is_enough(server: RedisServer, clock: FakeClock) -> None:
    """Where CONFIG and INFO are forbidden there is nothing to warn of, and all else works."""
    server.execute(
        *("ACL", "SETUSER", "limited", "reset", "on", ">pass", "~aerolite:*", "+@all", "-config", "-info")
    )
    async with RedisStorage(
        server.url.replace(f":{PASSWORD}", "limited:pass"), clock=clock, timeout_s=PATIENCE_S
    ) as storage:
        await storage.ping()
        assert storage.warnings() == ()
        await load(storage, keyed(range(3)))
        assert await everything(storage) == records(range(3))
    url = server.url.replace(f":{PASSWORD}", "limited:pass")
    async with RedisStorage(url, clock=clock, timeout_s=PATIENCE_S, prefix="other") as storage:
        with pytest.raises(StoreUnavailable, match="does not allow the user"):
            await load(storage, records([1]))
