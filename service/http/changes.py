"""`/datasets/{name}/changes`: how the owner of a dataset evolves its columns."""

from __future__ import annotations

import msgspec

from service.contracts.messages import Document, Reply
from service.domain.datasets import check_name
from service.formats.strict import parse
from service.http import parameters
from service.http.answers import Answer, Ask
from service.http.conditions import guard_of
from service.http.uploads import Uploads
from service.usecases.changes import Changing


class ChangesResource:
    """The changes of a dataset's columns."""

    def __init__(self, changing: Changing, uploads: Uploads) -> None:
        self._changing = changing
        self._uploads = uploads

    async def list(self, ask: Ask) -> Answer:
        """List the changes, oldest first, also those to come."""
        name = check_name(ask.path("name"))
        dataset, changes = await self._changing.declared(name)
        body = {"dataset": name, "changes": [change.as_document() for change in changes]}
        return Answer(Reply(200, Document(body)), tag=(name, dataset.revision))

    async def declare(self, ask: Ask) -> Answer:
        """Declare one, or show what it would do."""
        name = check_name(ask.path("name"))
        dry = parameters.choice(ask.query, "dry_run", ("0", "1")) == "1"
        current, _ = await self._changing.declared(name)
        guard = guard_of(ask.request, current.revision, exists=True)
        body = await self._uploads.small_json(ask)
        document = msgspec.json.decode(parse(body)[0])
        if dry:
            rehearsal = await self._changing.rehearse(name, document)
            return Answer(Reply(200, Document(rehearsal.as_document())))
        dataset, change = await self._changing.declare(name, document, guard)
        receipt = {"dataset": name, "revision": dataset.revision, **change.as_document()}
        location = {"Location": f"{ask.link_base}/datasets/{name}/changes"}
        return Answer(Reply(201, Document(receipt), location))
