"""What an export asks for, read from the query of the records endpoint; and the file that it made."""

from __future__ import annotations

from service.contracts.messages import Reply
from service.contracts.registry import Registry
from service.domain.errors import InvalidParameter
from service.http import parameters
from service.http.answers import Answer, Ask
from service.http.negotiation import FORMATS
from service.usecases.jobs.desk import Desk
from service.usecases.jobs.export import ExportJob, ExportQuery

_ELSEWHERE = {
    "format": "The format is a parameter of the export, not of its query.",
    "facet": "Facets stand in pages only.",
}


class QueryReader:
    """Reads queries as `GET /datasets/{name}/records` does, but that all records come unless limited."""

    def __init__(self, registry: Registry) -> None:
        self._operation = registry.operations["records.read"]

    def __call__(self, text: str) -> ExportQuery:
        """Return what a query asks for. Raises `InvalidParameter`, `InvalidRequest`."""
        query = parameters.read_query(self._operation, parameters.pairs(text.removeprefix("?")))
        for name, reason in _ELSEWHERE.items():
            if name in query.parameters:
                raise InvalidParameter(name, reason)
        query.default_limit = query.max_limit = None
        fields = query.parameters.get("fields")
        return ExportQuery(
            asked=parameters.asked(query),
            selection=parameters.selection(query),
            fields=None if fields is None else parameters.names_of("fields", fields),
        )


class ResultsResource:
    """Files that jobs have made."""

    def __init__(self, desk: Desk, exports: ExportJob) -> None:
        self._desk = desk
        self._exports = exports

    async def read(self, ask: Ask) -> Answer:
        """Stream the file."""
        job = await self._desk.store.get(ask.path("id"))
        chunks = self._exports.file(job)
        form, name = job.params["format"], job.params["dataset"]
        headers = {
            "Content-Disposition": f'attachment; filename="{name}.{form}"',
            "Cache-Control": "no-store",
        }
        return Answer(Reply(200, headers=headers), chunks=chunks, media_type=FORMATS[form])
