"""The composition root: which part stands where. Nothing else knows the injector."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from os import getpid
from secrets import token_hex
from socket import gethostname
from typing import ClassVar

from dependency_injector import containers, providers

from service.adapters.clock import SystemClock
from service.adapters.duckdb import DuckdbEngine
from service.adapters.queue.in_process import InProcessQueue
from service.adapters.spool import DiskSpool
from service.adapters.sqlite import SqliteStorage
from service.contracts import released
from service.contracts.resolve import Resolver
from service.domain.access import Scope
from service.domain.errors import StoreError
from service.http.access_log import AccessLog, Lines
from service.http.aggregates import AggregatesResource
from service.http.app import build_app
from service.http.background import Background
from service.http.cache import ResponseCache
from service.http.changes import ChangesResource
from service.http.cors import Cors
from service.http.data import DataResource
from service.http.datasets import DatasetsResource
from service.http.docs import DocsResource
from service.http.events import EventsResource
from service.http.exports import QueryReader, ResultsResource
from service.http.favorite import FavoriteResource
from service.http.fibonacci import FibonacciResource
from service.http.jobs import JobsResource
from service.http.keys import KeysResource
from service.http.lifecycle import Lifecycle
from service.http.loads import Loads
from service.http.observe import Metrics, RequestIds
from service.http.openapi import OpenApiResource
from service.http.pages import Pages
from service.http.pipeline import Shared
from service.http.prebuilt import HttpDate
from service.http.probes import Probes
from service.http.queries import QueriesResource
from service.http.records import RecordsResource
from service.http.routes import Resources
from service.http.server import Listening, Server
from service.http.uploads import Uploads
from service.http.versions import VersionsResource
from service.ports.clock import Clock
from service.ports.database import Bounds, Database
from service.ports.engine import Engine
from service.ports.queue import Queue
from service.ports.seen import Seen
from service.ports.storage import Datasets, Storage
from service.settings import AuthMode, LogFormat, SettingError, Settings
from service.usecases.access import Access
from service.usecases.changes import Changing
from service.usecases.editing import Editing
from service.usecases.jobs.blobs import Blobs
from service.usecases.jobs.copy import CopyJob
from service.usecases.jobs.desk import Desk
from service.usecases.jobs.export import ExportJob
from service.usecases.jobs.fibonacci import FibonacciJob, FibonacciValues, StoredSeen
from service.usecases.jobs.kinds import JobTypes
from service.usecases.jobs.load import LoadJob, LoadOrders
from service.usecases.jobs.running import Runner
from service.usecases.jobs.store import JobStore
from service.usecases.jobs.turns import Turns
from service.usecases.loading import Limits, Loading
from service.usecases.queries import Queries
from service.usecases.questions import Questions
from service.usecases.reading import Reading
from service.usecases.sunsetting import Sunsetting
from service.usecases.usage import Usage
from service.usecases.views import Views
from service.worker.children import ChildFibonacci
from service.worker.heartbeat import Heartbeat, heartbeat_file
from service.worker.metrics import JobMetrics
from service.worker.process import WorkerProcess
from service.worker.reconciler import Reconciler
from service.worker.worker import Worker

JOBS_INSIDE = 4
"""How many jobs run at the same time inside `serve`, which has pages to serve."""

DRAIN_INSIDE_S = 5.0
"""How long they may go on when `serve` ends; its requests have had their 25 s of the grace of 35 by then."""


def anonymous_scopes(settings: Settings) -> frozenset[str]:
    """Return what is granted without a key."""
    if settings.auth_mode is AuthMode.KEYS:
        return settings.anonymous_scopes
    scopes = {Scope.READ, Scope.WRITE, Scope.SQL_READ}
    if settings.binds_loopback or settings.open_sql_write:
        scopes.add(Scope.SQL_WRITE)
    return frozenset(scopes)


def limits(settings: Settings) -> Limits:
    """Return what an upload may come to."""
    return Limits(
        max_upload_bytes=settings.max_upload_bytes,
        max_json_bytes=settings.max_json_bytes,
        quota_bytes=settings.storage_quota_bytes,
    )


def logs_for_console(settings: Settings) -> bool:
    """Return whether people read the log."""
    return settings.log_format is LogFormat.CONSOLE


def listening(settings: Settings) -> Listening:
    """Return where to listen."""
    return Listening(
        host=settings.host,
        port=settings.port,
        header_timeout_s=settings.header_timeout_seconds,
        drain_s=settings.drain_seconds,
    )


def memory_storage(clock: Clock) -> Storage:
    """Return the storage that lives as long as the process."""
    from service.adapters.memory import MemoryStorage  # noqa: PLC0415 - imported where it is chosen

    return MemoryStorage(clock=clock)


def redis_storage(url: str, clock: Clock) -> Storage:
    """Return storage in Redis."""
    from service.adapters.redis import RedisStorage  # noqa: PLC0415 - a driver is imported where it is chosen

    return RedisStorage(url, clock=clock)


def postgres_storage(url: str, clock: Clock) -> Storage:
    """Return storage in PostgreSQL. Raises `StoreError` where the extra is not installed."""
    from service.adapters.postgres import PostgresStorage  # noqa: PLC0415 - a driver, as above

    return PostgresStorage(url, clock=clock)


def redis_queue(url: str) -> Queue:
    """Return the doorbell in Redis."""
    from service.adapters.queue.redis import RedisQueue  # noqa: PLC0415 - a driver, as above

    return RedisQueue(url)


def postgres_queue(url: str) -> Queue:
    """Return the doorbell in PostgreSQL. Raises `SettingError` where the extra is not installed."""
    try:
        from service.adapters.queue.postgres import PostgresQueue  # noqa: PLC0415 - a driver, as above
    except (ModuleNotFoundError, StoreError) as error:
        problem = "QUEUE_URL names PostgreSQL, whose driver is missing: pip install 'aerolite[postgres]'."
        raise SettingError([problem]) from error
    return PostgresQueue(url)


def postgres_seen(url: str) -> Seen:
    """Return the seen indexes in PostgreSQL. Raises `SettingError` where the extra is not installed."""
    try:
        from service.adapters.seen import PostgresSeen  # noqa: PLC0415 - a driver, as above
    except (ModuleNotFoundError, StoreError) as error:
        problem = "DATABASE_URL names PostgreSQL, whose driver is missing: pip install 'aerolite[postgres]'."
        raise SettingError([problem]) from error
    return PostgresSeen(url)


def bounds(settings: Settings) -> Bounds:
    """Return what a client's SQL statement may take."""
    return Bounds(settings.sql_timeout_seconds, settings.sql_max_rows, settings.sql_max_bytes)


def sqlite_database(settings: Settings) -> Database:
    """Return the SQL database in an SQLite file, which shows the datasets of an SQLite storage."""
    from service.adapters.sqlite_sql import SqliteDatabase  # noqa: PLC0415 - imported where it is chosen

    path = settings.database.path
    assert path is not None  # noqa: S101 - the scheme has chosen
    return SqliteDatabase(path, settings.storage_url.path, bounds(settings))


def postgres_database(settings: Settings) -> Database:
    """Return the SQL database in PostgreSQL, which shows the datasets of the storage there.

    Raises `SettingError` where the extra is not installed.
    """
    try:
        from service.adapters.postgres_sql import PostgresDatabase  # noqa: PLC0415 - a driver, as above
    except (ModuleNotFoundError, StoreError) as error:
        problem = "DATABASE_URL names PostgreSQL, whose driver is missing: pip install 'aerolite[postgres]'."
        raise SettingError([problem]) from error
    url = settings.database
    shows_datasets = settings.storage_url.text == url.text
    return PostgresDatabase(url.text, bounds(settings), shows_datasets=shows_datasets)


def duckdb_reader(settings: Settings, engine: Engine, datasets: Datasets) -> Database:
    """Return the SQL database that reads the datasets of any storage."""
    from service.adapters.duckdb_sql import DuckdbDatabase  # noqa: PLC0415 - as above

    return DuckdbDatabase(engine, datasets, settings.spool_dir, bounds(settings), settings.sql_concurrency)


def copy_target(settings: Settings, clock: Clock) -> Callable[[], Storage] | None:
    """Return what opens the storage that jobs copy to, or None where none is named."""
    url = settings.copy_url
    if url is None:
        return None
    make = postgres_storage if url.scheme == "postgresql" else redis_storage
    return lambda: make(url.text, clock)


def keeper_of_seen(settings: Settings) -> str:
    """Return where seen indexes are kept: in the SQL database where it stands beside a Redis."""
    beside = settings.storage_url.scheme.startswith("redis") and settings.database.scheme == "postgresql"
    return "database" if beside else "storage"


def place_of_worker(settings: Settings) -> str:
    """Return where jobs are run: inside `serve`, where no other process could hear the doorbell."""
    return "inside" if settings.queue.scheme in {"sqlite", "memory"} else "elsewhere"


def owner() -> str:
    """Return the name of this process among workers."""
    return f"{gethostname()}:{getpid()}:{token_hex(4)}"


class Container(containers.DeclarativeContainer):
    """The parts of the service, each built once when first asked for, with no I/O."""

    settings: providers.Dependency[Settings] = providers.Dependency(instance_of=Settings)

    clock = providers.Singleton(SystemClock)
    registry = providers.Singleton(released)
    metrics = providers.Singleton(Metrics)
    lifecycle = providers.Singleton(Lifecycle)
    lines = providers.Singleton(Lines)

    # A scheme has a sign in it that no keyword has, hence the dictionary.
    _storages: ClassVar[dict[str, providers.Provider[Storage]]] = {
        "sqlite": providers.Singleton(SqliteStorage, settings.provided.storage_url.path, clock=clock),
        "memory": providers.Singleton(memory_storage, clock),
        "redis": providers.Singleton(redis_storage, settings.provided.storage_url.text, clock),
        "rediss": providers.Singleton(redis_storage, settings.provided.storage_url.text, clock),
        "redis+cluster": providers.Singleton(redis_storage, settings.provided.storage_url.text, clock),
        "postgresql": providers.Singleton(postgres_storage, settings.provided.storage_url.text, clock),
    }
    storage: providers.Provider[Storage] = providers.Selector(
        settings.provided.storage_url.scheme, **_storages
    )
    datasets = storage.provided.datasets

    spool = providers.Singleton(DiskSpool, settings.provided.spool_dir)
    access = providers.Singleton(
        Access,
        storage.provided.documents,
        clock,
        anonymous_scopes=providers.Callable(anonymous_scopes, settings),
        admin_key=settings.provided.admin_key,
        first=registry.provided.first.date,
    )
    usage = providers.Singleton(Usage, storage.provided.documents, clock)
    sunsetting = providers.Singleton(Sunsetting, usage, access, clock, registry.provided.on)
    views = providers.Singleton(Views)
    reading = providers.Singleton(Reading, datasets)
    engine = providers.Singleton(
        DuckdbEngine,
        settings.provided.spool_dir,
        memory_bytes=settings.provided.engine_memory_bytes,
        spill_bytes=settings.provided.engine_spill_bytes,
        timeout_s=settings.provided.sql_timeout_seconds,
    )
    loading = providers.Singleton(
        Loading, datasets, spool, providers.Callable(limits, settings), views, engine.provided.recording
    )
    editing = providers.Singleton(Editing, datasets, reading, views, engine.provided.edited)
    questions = providers.Singleton(Questions, datasets, reading, engine, views)
    reader: providers.Provider[Database] = providers.Singleton(duckdb_reader, settings, engine, datasets)
    database: providers.Provider[Database] = providers.Selector(
        settings.provided.database.scheme,
        sqlite=providers.Singleton(sqlite_database, settings),
        postgresql=providers.Singleton(postgres_database, settings),
        duckdb=reader,
    )
    queries = providers.Singleton(
        Queries,
        database,
        reader,
        datasets,
        views,
        kind=settings.provided.database.scheme,
        concurrency=settings.provided.sql_concurrency,
    )
    changing = providers.Singleton(Changing, datasets, clock)
    pages = providers.Singleton(Pages, reading, questions, views)

    uploads = providers.Singleton(
        Uploads,
        spool,
        clock,
        metrics,
        max_uploads=settings.provided.max_uploads,
        max_bytes=settings.provided.max_upload_bytes,
    )
    documents = storage.provided.documents
    _in_process = providers.Singleton(InProcessQueue)
    queue: providers.Provider[Queue] = providers.Selector(
        settings.provided.queue.scheme,
        sqlite=_in_process,
        memory=_in_process,
        redis=providers.Singleton(redis_queue, settings.provided.queue.text),
        rediss=providers.Singleton(redis_queue, settings.provided.queue.text),
        postgresql=providers.Singleton(postgres_queue, settings.provided.queue.text),
    )
    seen: providers.Provider[Seen] = providers.Selector(
        providers.Callable(keeper_of_seen, settings),
        storage=providers.Singleton(StoredSeen, documents),
        database=providers.Singleton(postgres_seen, settings.provided.database.text),
    )
    blobs = providers.Singleton(Blobs, documents)
    children = providers.Singleton(ChildFibonacci)
    fibonacci_job = providers.Singleton(FibonacciJob, documents, seen, children)
    fibonacci_values = providers.Singleton(FibonacciValues, documents)
    load_job = providers.Singleton(LoadJob, loading, blobs, clock)
    export_job = providers.Singleton(
        ExportJob, reading, questions, views, blobs, providers.Singleton(QueryReader, registry), clock
    )
    copy_job = providers.Singleton(CopyJob, storage, providers.Callable(copy_target, settings, clock), clock)
    job_types = providers.Singleton(JobTypes, providers.List(fibonacci_job, load_job, export_job, copy_job))
    job_store = providers.Singleton(JobStore, documents, clock)
    desk = providers.Singleton(Desk, job_store, job_types, queue, clock)
    load_orders = providers.Singleton(
        LoadOrders, desk, load_job, spool, blobs, documents, clock, settings.provided.max_upload_bytes
    )
    loads = providers.Singleton(Loads, loading, desk, load_orders)
    job_metrics = providers.Singleton(JobMetrics, metrics.provided.registry)
    worker = providers.Factory(
        Worker,
        queue,
        providers.Singleton(
            Runner,
            job_store,
            job_types,
            providers.Singleton(Turns, documents),
            clock,
            job_metrics,
            owner=providers.Callable(owner),
            lease_s=settings.provided.job_lease_seconds,
        ),
        providers.Singleton(Reconciler, job_store, queue, clock),
        job_metrics,
        concurrency=JOBS_INSIDE,
        lease_s=settings.provided.job_lease_seconds,
        drain_s=DRAIN_INSIDE_S,
    )
    companion = providers.Selector(
        providers.Callable(place_of_worker, settings), inside=worker, elsewhere=providers.Factory(nullcontext)
    )

    cache = providers.Singleton(ResponseCache, settings.provided.cache_bytes)
    shared = providers.Singleton(
        Shared,
        registry=registry,
        clock=clock,
        dates=providers.Singleton(HttpDate),
        usage=usage,
        resolver=providers.Singleton(Resolver, registry, clock),
        access=access,
        reading=reading,
        cache=cache,
        access_log=providers.Singleton(
            AccessLog, metrics, lines, console=providers.Callable(logs_for_console, settings)
        ),
        request_ids=providers.Singleton(RequestIds),
        lifecycle=lifecycle,
        cors=providers.Singleton(Cors, settings.provided.cors_origins),
        base_path=settings.provided.base_path,
    )
    openapi = providers.Singleton(OpenApiResource, registry, datasets)
    resources = providers.Singleton(
        Resources,
        data=providers.Singleton(DataResource, reading, pages, loads, editing, uploads),
        datasets=providers.Singleton(DatasetsResource, datasets, views, loads, editing, uploads),
        records=providers.Singleton(RecordsResource, reading, pages, views, loads, editing, uploads),
        aggregates=providers.Singleton(AggregatesResource, questions, views),
        changes=providers.Singleton(ChangesResource, changing, uploads),
        queries=providers.Singleton(QueriesResource, queries, uploads),
        favorite=providers.Singleton(FavoriteResource, settings.provided.favorite_athlete),
        jobs=providers.Singleton(JobsResource, desk, uploads),
        events=providers.Singleton(EventsResource, desk, lifecycle),
        results=providers.Singleton(ResultsResource, desk, export_job),
        fibonacci=providers.Singleton(
            FibonacciResource,
            desk,
            fibonacci_job,
            fibonacci_values,
            seen,
            uploads,
        ),
        keys=providers.Singleton(KeysResource, access, registry, uploads, clock),
        openapi=openapi,
        docs=providers.Singleton(DocsResource, registry, openapi, clock),
        versions=providers.Singleton(VersionsResource, registry, sunsetting, clock),
    )
    probes = providers.Singleton(
        Probes, lifecycle, storage, metrics, cache, strict=settings.provided.readiness_strict
    )
    background = providers.Singleton(Background, storage, lifecycle, clock)

    _parts = providers.List(
        lines, storage, usage, engine, queries, background, seen, queue, children, companion, lifecycle
    )
    application = providers.Factory(build_app, shared, resources, probes, parts=_parts)
    heartbeat = providers.Singleton(
        Heartbeat, providers.Callable(heartbeat_file, settings.provided.spool_dir)
    )
    worker_process = providers.Factory(
        WorkerProcess, providers.List(heartbeat, storage, engine, background, seen, queue, children)
    )
    serve = providers.Singleton(
        Server, application.provider, lifecycle, providers.Callable(listening, settings)
    )


def build_container(settings: Settings) -> Container:
    """Return a container of its own; containers share nothing."""
    return Container(settings=settings)
