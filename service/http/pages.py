"""Pages of records: plain ones straight from the store, filtered and sorted ones by way of the engine."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlencode

from service.contracts.messages import Records, Reply
from service.contracts.schemas import JSON, PARQUET
from service.domain.errors import InvalidParameter
from service.http import parameters
from service.http.answers import Answer, Ask, dataset_version
from service.http.negotiation import EXTENSIONS, media_type
from service.usecases.cursors import encode
from service.usecases.questions import Answered, Asked, Questions
from service.usecases.reading import Page, Reading, Selection
from service.usecases.views import View, Views


class Pages:
    """Makes pages of a dataset's records as the client sees them."""

    def __init__(self, reading: Reading, questions: Questions, views: Views) -> None:
        self._reading = reading
        self._questions = questions
        self._views = views

    async def read(self, ask: Ask, name: str) -> Answer:
        """Answer with a page, in the format that the client wants."""
        query, request = ask.query, ask.request
        wanted = media_type(query.parameters.get("format"), request.headers.get("Accept", ""))
        asked = replace(parameters.asked(query), file=wanted == PARQUET)
        if asked.facets and wanted != JSON:
            raise InvalidParameter("facet", "Facets stand in JSON pages only.", valid=["format=json"])
        selection = parameters.selection(query)
        page = await ask.stack.enter_async_context(self._open(ask, name, asked, selection))
        view = self._views.of(page.dataset, ask.day, query.lenses)
        fields = parameters.fields(query, view.columns)
        following = None if page.next is None else next_link(ask, "after", encode(page.next))
        shown = None if fields is None else list(fields)
        headers = {**file_headers(name, wanted, following), **dataset_version(view)}
        return Answer(
            Reply(200, Records(_members(page), "records", {"next": following}), headers),
            tag=(name, page.dataset.revision),
            page=page,
            columns=view.columns,
            view=view,
            fields=fields,
            media_type=wanted,
            normalised=(str(page.start), str(selection.limit), *(shown or ("*",)), *asked.normalised),
            file=_file(page, view, fields),
        )

    def _open(
        self, ask: Ask, name: str, asked: Asked, selection: Selection
    ) -> AbstractAsyncContextManager[Page]:
        if asked.plain:
            return self._reading.open(name, selection)
        return self._questions.open(name, asked, selection, ask.day)


def _members(page: Page) -> dict[str, Any]:
    """Return what a page says beside its records."""
    dataset = page.dataset
    count = page.count if isinstance(page, Answered) else dataset.count
    members: dict[str, Any] = {
        "dataset": dataset.name,
        "revision": dataset.revision,
        "count": count,
        "start": page.start,
    }
    if isinstance(page, Answered) and page.facets:
        members["facets"] = {
            name: [{"value": value, "count": number} for value, number in values]
            for name, values in page.facets.items()
        }
        if page.truncated:
            members["truncated"] = list(page.truncated)
    return members


def _file(page: Page, view: View, fields: tuple[str, ...] | None) -> Any:
    """Return what makes the file of a page that is one."""
    if not isinstance(page, Answered) or page.file is None:
        return None
    names = fields or tuple(column.name for column in view.columns)
    if not names:
        raise InvalidParameter("format", "There is no column yet that a Parquet file could have.")
    return partial(page.file, names)


def file_headers(name: str, media_type: str, following: str | None) -> dict[str, str]:
    """Return the headers of an answer of records: its file name, and where to go on."""
    disposition = "inline" if media_type == JSON else "attachment"
    headers = {"Content-Disposition": f'{disposition}; filename="{name}.{EXTENSIONS[media_type]}"'}
    if following is not None:
        headers["Link"] = f'<{following}>; rel="next"'
    return headers


def next_link(ask: Ask, parameter: str, value: str) -> str:
    """Return the relative URL of the next page: this request's, with another place to go on from."""
    kept = [pair for pair in ask.shown if pair[0] not in {"start", "after"}]
    return f"{ask.request.rel_url.raw_path}?{urlencode([*kept, (parameter, value)])}"
