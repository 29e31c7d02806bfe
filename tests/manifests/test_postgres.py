"""The PostgreSQL container's own settings, given to a real PostgreSQL."""

from __future__ import annotations

import asyncpg

from tests.servers.postgres import postgres_server

from .rendered import Overlay


def arguments(overlay: Overlay) -> dict[str, str]:
    """Return what follows each `-c` in the container's arguments."""
    (container,) = overlay.pod("postgres").containers
    words = container["args"]
    assert set(words[::2]) == {"-c"}
    return dict(word.split("=", 1) for word in words[1::2])


def test_a_process_of_the_server_has_a_bound_for_its_memory(overlays: dict[str, Overlay]) -> None:
    """A statement that wants more fails alone; as many as run at once have room in the container together."""
    for overlay in ("cloud-postgres", "full"):
        (container,) = overlays[overlay].pod("postgres").containers
        shell, option, script, name = container["command"]
        assert (shell, option, name) == ("sh", "-c", "sh")
        assert script == 'ulimit -d 262144 && exec docker-entrypoint.sh "$@"'


async def test_postgres_runs_with_the_settings_of_the_manifest(overlays: dict[str, Overlay]) -> None:
    """PostgreSQL starts with each setting, shows it, and flushes before it acknowledges."""
    wanted = arguments(overlays["cloud-postgres"])
    async with postgres_server(wanted) as server:
        connection = await asyncpg.connect(server.url)
        try:
            shown = {name: await connection.fetchval(f"SHOW {name}") for name in wanted}
            durable = {
                name: await connection.fetchval(f"SHOW {name}") for name in ("fsync", "full_page_writes")
            }
        finally:
            await connection.close()
    assert shown == wanted
    assert wanted["synchronous_commit"] == "on"
    assert set(durable.values()) == {"on"}
