"""Every setting of the service, in one table that yields parsing, `--help`, documentation and errors."""

# ruff: noqa: RUF009 - the calls declare fields, as dataclasses.field does

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from service.configuration.kinds import (
    API_KEY,
    BOOLEAN,
    DIRECTORY,
    HOST,
    ORIGINS,
    PREFIX,
    TEXT,
    choice,
    integer,
    seconds,
    size,
    subset,
    url,
)
from service.configuration.setting import (
    Setting,
    SettingError,
    declared,
    optional,
    read_all,
    setting,
)
from service.configuration.urls import StorageUrl

__all__ = [
    "SETTINGS",
    "AuthMode",
    "LogFormat",
    "LogLevel",
    "Setting",
    "SettingError",
    "Settings",
    "StorageUrl",
]


class AuthMode(StrEnum):
    """Who may do what without a key."""

    OPEN = "open"
    KEYS = "keys"


class LogFormat(StrEnum):
    """How log lines look."""

    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """The least level that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


_STORAGES = ("sqlite", "redis", "rediss", "redis+cluster", "postgresql", "memory")
_SERVERS = ("redis", "rediss", "redis+cluster", "postgresql")
_DATABASES = ("sqlite", "postgresql", "duckdb")
_QUEUES = ("sqlite", "redis", "rediss", "postgresql", "memory")
_SCOPES = ("read", "write", "sql:read", "sql:write")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a process; each field is a row: kind, default (or what its absence means), purpose."""

    host: str = setting(HOST, "127.0.0.1", "Address to listen on; 0.0.0.0 is every interface.")
    port: int = setting(integer(0, 65535, remark=" (0 is any free one)"), "8080", "TCP port to listen on.")
    base_path: str = setting(
        PREFIX, "/", "Prefix under which an ingress sends requests; links then carry it."
    )
    storage_url: StorageUrl = setting(
        url(_STORAGES), "sqlite:///var/aerolite.db", "Where datasets are stored."
    )
    database_url: StorageUrl | None = optional(
        url(_DATABASES),
        "follows STORAGE_URL",
        "The database that POST /query speaks to; beside an SQLite storage a file of its own.",
    )
    queue_url: StorageUrl | None = optional(
        url(_QUEUES), "follows STORAGE_URL", "Where jobs are announced to workers."
    )
    copy_url: StorageUrl | None = optional(
        url(_SERVERS), "no such jobs", "Where jobs of the type copy copy everything to."
    )
    auth_mode: AuthMode = setting(
        choice(AuthMode), "open", "Whether one needs a key: open grants reading and writing without."
    )
    anonymous_scopes: frozenset[str] = setting(
        subset(_SCOPES), "", "What AUTH_MODE=keys grants without a key."
    )
    admin_key: str | None = optional(API_KEY, "no such key", "A key with all scopes, for automation.")
    open_sql_write: bool = setting(
        BOOLEAN, "0", "Grant sql:write without a key under AUTH_MODE=open beyond loopback too."
    )
    max_upload_bytes: int = setting(size(1), "1 GiB", "Largest body, as sent and inflated.", unit="bytes")
    max_json_bytes: int = setting(
        size(1), "64 MiB", "Largest JSON document; NDJSON has no such bound.", unit="bytes"
    )
    max_uploads: int = setting(
        integer(1), "8", "Uploads at the same time; one more is told to come back.", unit="uploads"
    )
    storage_quota_bytes: int | None = optional(
        size(1), "no quota", "Most bytes of records over all datasets.", unit="bytes"
    )
    spool_dir: Path | None = optional(
        DIRECTORY, "the system's directory for temporary files", "Where uploads wait for their end."
    )
    cache_bytes: int = setting(size(0), "64 MiB", "Memory for answers; 0 is none.", unit="bytes")
    engine_memory_bytes: int = setting(
        size(32_000_000), "256 MiB", "Memory of the query engine and its snapshots.", unit="bytes"
    )
    engine_spill_bytes: int = setting(
        size(0), "2 GiB", "Disk that the query engine may fill for a while.", unit="bytes"
    )
    sql_timeout_seconds: float = setting(
        seconds(0.1, 3600), "10", "Time limit of an SQL statement.", unit="seconds"
    )
    sql_max_rows: int = setting(integer(1), "10000", "Most rows of an SQL answer.", unit="rows")
    sql_max_bytes: int = setting(size(1), "16 MiB", "Most bytes of an SQL answer.", unit="bytes")
    sql_concurrency: int = setting(
        integer(1, 1024), "4", "SQL statements at the same time.", unit="statements"
    )
    cors_origins: tuple[str, ...] = setting(ORIGINS, "", "Web origins whose pages may call the API.")
    header_timeout_seconds: float = setting(
        seconds(0.1, 3600), "10", "Time a client has to send a request's headers.", unit="seconds"
    )
    drain_seconds: float = setting(
        seconds(0, 3600), "5", "Time between SIGTERM and the last new request.", unit="seconds"
    )
    readiness_strict: bool = setting(
        BOOLEAN, "0", "Let /readyz answer 503 whenever the storage does not answer."
    )
    job_lease_seconds: float = setting(
        seconds(1, 3600), "15", "Silence after which a worker counts as dead.", unit="seconds"
    )
    log_format: LogFormat = setting(choice(LogFormat), "json", "How log lines look.")
    log_level: LogLevel = setting(choice(LogLevel), "info", "The least level that is logged.")
    favorite_athlete: str = setting(TEXT, "Eliud Kipchoge", "Who GET /favorite names.")

    @classmethod
    def from_env(cls, mapping: Mapping[str, str]) -> Settings:
        """Read the settings from an environment; what is no setting is ignored.

        Each may come as `NAME`, or as `NAME_FILE`, the path of a file that holds it. Raises one
        `SettingError` with a sentence for each setting that is wrong.
        """
        settings = cls(**read_all(SETTINGS, mapping))
        if settings.storage_url.scheme == "redis+cluster" and settings.queue_url is None:
            problem = (
                f"QUEUE_URL must be set where STORAGE_URL is {settings.storage_url}:"
                f" jobs cannot be announced on a Redis Cluster."
            )
            raise SettingError([problem])
        return settings

    @property
    def database(self) -> StorageUrl:
        """The SQL database: `DATABASE_URL`, or what follows from the storage.

        Beside an SQLite storage that is a file of its own, and where the storage speaks no SQL the DuckDB
        reader of the datasets.
        """
        if self.database_url is not None:
            return self.database_url
        if self.storage_url.path is not None:
            path = self.storage_url.path
            return StorageUrl.for_file(path.with_name(f"{path.stem}-sql{path.suffix}"))
        if self.storage_url.scheme == "postgresql":
            return self.storage_url
        return StorageUrl.parse("duckdb://")

    @property
    def queue(self) -> StorageUrl:
        """The queue of jobs: `QUEUE_URL`, or the storage."""
        return self.queue_url or self.storage_url

    @property
    def binds_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def dump(self) -> dict[str, str | int | float | bool | None]:
        """Return all settings by name for a log, secrets masked."""
        return {each.name: each.show(getattr(self, each.field)) for each in SETTINGS}


SETTINGS: Final[tuple[Setting, ...]] = declared(Settings)
