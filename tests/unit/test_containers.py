"""The composition root builds a whole graph for every backend, opens nothing, and shares nothing."""

from __future__ import annotations

import pytest
from dependency_injector import providers

from containers import build_container
from service.ports.storage import Storage
from service.settings import Settings

URLS = {
    "sqlite:///var/none/aerolite.db": "SqliteStorage",
    "memory://": "MemoryStorage",
    "redis://127.0.0.1:1": "RedisStorage",
    "rediss://127.0.0.1:1": "RedisStorage",
    "redis+cluster://127.0.0.1:1": "RedisStorage",
    "postgresql://127.0.0.1:1/none": "PostgresStorage",
}


def settings(url: str) -> Settings:
    """Return settings with this storage."""
    return Settings.from_env({"STORAGE_URL": url, "QUEUE_URL": "redis://127.0.0.1:1"})


@pytest.mark.parametrize(("url", "name"), URLS.items())
def test_the_graph_of_every_backend_is_built_without_io(url: str, name: str) -> None:
    """Constructors open nothing, so a server that is not there does not matter yet."""
    container = build_container(settings(url))
    assert container.application() is not None
    assert container.serve() is not None
    assert type(container.storage()).__name__ == name


def test_only_the_chosen_backend_is_built() -> None:
    """The selector asks one provider and leaves the others alone."""
    container = build_container(settings("memory://"))
    asked = []
    for name, provider in container.storage.providers.items():
        provider.override(providers.Callable(asked.append, name))
    container.storage()
    assert asked == ["memory"]


def test_parts_are_built_once() -> None:
    """Whoever asks for a part gets the same one."""
    container = build_container(settings("memory://"))
    assert container.storage() is container.storage()
    assert container.reading() is container.reading()


def test_containers_share_nothing() -> None:
    """A second service in the same process has parts of its own."""
    first, second = (build_container(settings("memory://")) for _ in range(2))
    assert first.storage() is not second.storage()
    assert first.cache() is not second.cache()


def test_a_part_can_be_replaced() -> None:
    """Tests override a provider; nothing is patched."""
    container = build_container(settings("memory://"))
    other: Storage = build_container(settings("memory://")).storage()
    container.storage.override(providers.Object(other))
    assert container.probes() is not None
    assert container.storage() is other


DATABASES = {
    ("sqlite:///var/none/aerolite.db", None): "SqliteDatabase",
    ("memory://", None): "DuckdbDatabase",
    ("redis://127.0.0.1:1", None): "DuckdbDatabase",
    ("postgresql://127.0.0.1:1/none", None): "PostgresDatabase",
    ("redis://127.0.0.1:1", "postgresql://127.0.0.1:1/none"): "PostgresDatabase",
    ("redis://127.0.0.1:1", "sqlite:///var/none/sql.db"): "SqliteDatabase",
    ("sqlite:///var/none/aerolite.db", "duckdb://"): "DuckdbDatabase",
}


@pytest.mark.parametrize(("storage", "database", "name"), [(*urls, name) for urls, name in DATABASES.items()])
def test_the_database_follows_the_storage_unless_it_is_named(
    storage: str, database: str | None, name: str
) -> None:
    """And the reader of datasets is always there, once."""
    environment = {"STORAGE_URL": storage} | ({} if database is None else {"DATABASE_URL": database})
    container = build_container(Settings.from_env(environment))
    assert type(container.database()).__name__ == name
    assert type(container.reader()).__name__ == "DuckdbDatabase"
    assert (container.database() is container.reader()) == (name == "DuckdbDatabase")
