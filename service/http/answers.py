"""What a resource is asked and what it answers, before contracts and encodings have their say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import date

from aiohttp import web

from service.contracts.messages import Query, Reply
from service.contracts.resolve import Resolved
from service.domain.access import Caller
from service.domain.columns import Column
from service.usecases.reading import Page
from service.usecases.views import View

DATASET_VERSION = "Dataset-Version"


@dataclass(slots=True)
class Ask:
    """A request as a resource sees it: its query in the newest contract's terms.

    `link_base` is the prefix that links must carry. What the resource enters on `stack` is held until the
    answer is sent. `shown` is the query as it was sent, for links.
    """

    request: web.Request
    resolved: Resolved | None
    caller: Caller
    query: Query
    link_base: str
    request_id: str
    stack: AsyncExitStack
    shown: tuple[tuple[str, str], ...] = ()

    @property
    def day(self) -> date | None:
        """The day whose columns the client sees."""
        return None if self.resolved is None else self.resolved.day

    def path(self, name: str) -> str:
        """Return a part of the path, decoded."""
        return self.request.match_info[name]


@dataclass(slots=True)
class Answer:
    """A reply in the newest contract's terms, and what is needed to encode it.

    `page` holds the records of a `Records` body (or the one of a `Record`), which `view` leads to what the
    client sees (None: they are that), `columns` are those that it sees, `fields` those wanted.
    `tag` (dataset, revision) makes the answer's ETag and lets it be cached. `file`, where it is given, makes
    the whole body, told whether values are `typed`. `chunks` are a body as it stands, of
    `media_type` (else JSON). `timeless`: no contract has ever had it otherwise, so none takes it back.
    """

    reply: Reply
    tag: tuple[str, int] | None = None
    page: Page | None = None
    columns: tuple[Column, ...] = ()
    view: View | None = None
    fields: tuple[str, ...] | None = None
    media_type: str | None = None
    normalised: tuple[str, ...] = field(default=())
    file: Callable[..., AsyncIterator[bytes]] | None = None
    chunks: AsyncIterator[bytes] | None = None
    timeless: bool = False


def dataset_version(view: View) -> dict[str, str]:
    """Return the header that names the last change of a dataset that the client sees, if it sees one."""
    return {} if view.version is None else {DATASET_VERSION: view.version.isoformat()}


Handler = Callable[[Ask], Awaitable[Answer]]
