"""A live copy of a collection, kept by list and watch.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing

from service.deploy.cluster import Cluster
from service.deploy.errors import ApiProblem, Unreachable
from service.deploy.objects import Manifest, items_of

# A watch without a time limit never ends, and a connection that died in silence looks like one.
WATCH_TIMEOUT_S = 60

# The version is too old (410), or the server has a bad moment.
LIST_ANEW = frozenset({410, 429, 500, 503, 504})


class Mirror:
    """Keeps `objects`, by name, equal to a collection for as long as `run` runs.

    Watches that drop are taken up where they were; where that is too long ago (410 Gone), the
    collection is listed anew. `changed` is set after each change.
    """

    def __init__(self, cluster: Cluster, path: str, changed: asyncio.Event) -> None:
        self.objects: dict[str, Manifest] = {}
        self.listed = False
        self._cluster = cluster
        self._path = path
        self._changed = changed
        self._version: str | None = None

    async def run(self) -> None:
        """Keep up until cancelled; raises `ApiProblem` where the API server refuses."""
        while True:
            try:
                if self._version is None:
                    await self._list()
                await self._watch()
            except Unreachable:
                pass  # take it up where it broke
            except ApiProblem as problem:
                if problem.status not in LIST_ANEW:
                    raise
                self._version = None
            # A server, or a proxy before it, that ends every watch at once is not to be hammered.
            await asyncio.sleep(self._cluster.patience.first_delay_s)

    async def _list(self) -> None:
        answer = await self._cluster.request("GET", self._path)
        self.objects = {item["metadata"]["name"]: item for item in items_of(answer)}
        self._version = answer["metadata"]["resourceVersion"]
        self.listed = True
        self._changed.set()

    async def _watch(self) -> None:
        query = {
            "watch": True,
            "resourceVersion": self._version,
            "allowWatchBookmarks": True,
            "timeoutSeconds": WATCH_TIMEOUT_S,
        }
        lines = self._cluster.stream(self._path, query, timeout_s=WATCH_TIMEOUT_S + 10)
        async with aclosing(lines):
            async for line in lines:
                try:
                    event = json.loads(line)
                except ValueError:  # the connection broke within a line
                    return
                self._take(event["type"], event["object"])

    def _take(self, change: str, item: Manifest) -> None:
        if change == "ERROR":
            raise ApiProblem(item.get("code", 500), item.get("reason", ""), item.get("message", ""))
        self._version = item["metadata"]["resourceVersion"]
        if change == "BOOKMARK":
            return
        if change == "DELETED":
            self.objects.pop(item["metadata"]["name"], None)
        else:
            self.objects[item["metadata"]["name"]] = item
        self._changed.set()
