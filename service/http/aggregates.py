"""`/datasets/{name}/aggregate`: groups of records and what they come to."""

from __future__ import annotations

from typing import Any

import msgspec

from service.contracts.messages import Records, Reply
from service.contracts.schemas import PARQUET
from service.domain.columns import Column
from service.domain.datasets import check_name
from service.domain.errors import InvalidParameter
from service.http import parameters
from service.http.answers import Answer, Ask, dataset_version
from service.http.negotiation import FORMATS, media_type
from service.http.pages import file_headers, next_link
from service.usecases.questions import Questions
from service.usecases.reading import Page
from service.usecases.views import Views


class AggregatesResource:
    """Groups of a dataset's records."""

    def __init__(self, questions: Questions, views: Views) -> None:
        self._questions = questions
        self._views = views

    async def read(self, ask: Ask) -> Answer:
        """Answer with a row per group."""
        name, query = check_name(ask.path("name")), ask.query
        wanted = media_type(query.parameters.get("format"), ask.request.headers.get("Accept", ""))
        if wanted == PARQUET:
            valid = [name for name, each in FORMATS.items() if each != PARQUET]
            raise InvalidParameter("format", "Groups do not come as Parquet.", valid=valid)
        grouping, asked = parameters.grouping(query), parameters.asked(query)
        groups = await self._questions.aggregate(name, asked, grouping, ask.day)
        end = str(grouping.start + len(groups.rows))
        following = next_link(ask, "start", end) if groups.more else None
        members: dict[str, Any] = {"dataset": name, "revision": groups.dataset.revision}
        names = (*grouping.group, *(measure.name for measure in grouping.measures))
        version = dataset_version(self._views.of(groups.dataset, ask.day))
        headers = {**file_headers(name, wanted, following), **version}
        rows = [msgspec.json.encode(row) for row in groups.rows]
        return Answer(
            Reply(200, Records(members, "rows", {"next": following}), headers),
            tag=(name, groups.dataset.revision),
            page=Page(groups.dataset, grouping.start, None, rows),
            columns=tuple(map(Column, names)),
            media_type=wanted,
            normalised=(str(grouping.start), str(grouping.limit), *names, *asked.normalised),
        )
