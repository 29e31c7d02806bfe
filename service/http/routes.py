"""Every route in one list, which reads like the table in the README."""

from __future__ import annotations

from dataclasses import dataclass

from service.http.aggregates import AggregatesResource
from service.http.answers import Handler
from service.http.changes import ChangesResource
from service.http.data import DataResource
from service.http.datasets import DatasetsResource
from service.http.docs import DocsResource
from service.http.events import EventsResource
from service.http.exports import ResultsResource
from service.http.favorite import FavoriteResource
from service.http.fibonacci import FibonacciResource
from service.http.jobs import JobsResource
from service.http.keys import KeysResource
from service.http.openapi import OpenApiResource
from service.http.queries import QueriesResource
from service.http.records import RecordsResource
from service.http.versions import VersionsResource


@dataclass(frozen=True, slots=True)
class Resources:
    """All resources of the API."""

    data: DataResource
    datasets: DatasetsResource
    records: RecordsResource
    aggregates: AggregatesResource
    changes: ChangesResource
    queries: QueriesResource
    favorite: FavoriteResource
    jobs: JobsResource
    events: EventsResource
    results: ResultsResource
    fibonacci: FibonacciResource
    keys: KeysResource
    openapi: OpenApiResource
    docs: DocsResource
    versions: VersionsResource

    def handlers(self) -> dict[str, Handler]:
        """Return the handler of each operation; `service.contracts.operations` says method and path."""
        return {
            "data.read": self.data.read,
            "data.load": self.data.load,
            "data.delete": self.data.delete,
            "datasets.list": self.datasets.list,
            "dataset.read": self.datasets.read,
            "dataset.load": self.datasets.load,
            "dataset.patch": self.datasets.patch,
            "dataset.delete": self.datasets.delete,
            "records.read": self.records.read,
            "records.append": self.records.append,
            "records.aggregate": self.aggregates.read,
            "record.read": self.records.read_one,
            "record.put": self.records.put_one,
            "record.patch": self.records.patch_one,
            "record.delete": self.records.delete_one,
            "changes.list": self.changes.list,
            "changes.declare": self.changes.declare,
            "query.read": self.queries.describe,
            "query.run": self.queries.run,
            "favorite.read": self.favorite.read,
            "jobs.list": self.jobs.list,
            "jobs.create": self.jobs.create,
            "job.read": self.jobs.read,
            "job.cancel": self.jobs.cancel,
            "job.events": self.events.read,
            "job.result": self.results.read,
            "fibonacci.read": self.fibonacci.read,
            "fibonacci.create": self.fibonacci.create,
            "keys.list": self.keys.list,
            "keys.create": self.keys.create,
            "keys.self": self.keys.read_own,
            "keys.self.pin": self.keys.move_own_pin,
            "key.read": self.keys.read,
            "key.revoke": self.keys.revoke,
            "key.pin": self.keys.set_pin,
            "openapi.read": self.openapi.read,
            "docs.read": self.docs.read,
            "versions.list": self.versions.list,
            "versions.usage": self.versions.usage,
            "versions.compare": self.versions.compare,
        }
