"""Loading over HTTP, into a server that runs elsewhere."""

from __future__ import annotations

import json
import re
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from service.cli.loading import WRITTEN_ON, LoadJob, Watcher
from service.cli.session import CommandError, reason
from service.domain.errors import AeroliteError
from service.formats.options import InputFormat

_MEDIA_TYPES = {
    InputFormat.CSV: "text/csv",
    InputFormat.JSON: "application/json",
    InputFormat.NDJSON: "application/x-ndjson",
    None: "application/octet-stream",
}
# A large file is checked and committed after its last byte was sent, and only then comes the answer.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=900)


class RemoteLoader:
    """Loads by PUT /datasets/{name}; `async with` holds its connections."""

    def __init__(self, url: str, api_key: str | None) -> None:
        try:
            self._url = URL(url)
        except ValueError:
            self._url = URL()
        if self._url.scheme not in {"http", "https"} or not self._url.host:
            raise CommandError(f"--url cannot be {url!r}: it takes a URL such as http://localhost:8080.")
        self._headers = {"API-Version": WRITTEN_ON.isoformat(), "Accept": "application/json"}
        if api_key is not None:
            if re.fullmatch(r"[\x21-\x7e]+", api_key) is None:
                raise CommandError("The API key takes printable ASCII characters without blanks.")
            self._headers["Authorization"] = f"Bearer {api_key}"

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=_TIMEOUT)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def load(self, job: LoadJob, watcher: Watcher) -> dict[str, Any]:
        """Send a file and return its receipt; raises `CommandError`, or `AeroliteError` with the problem."""
        headers = {"Content-Type": _MEDIA_TYPES[job.file.format]}
        if job.file.content_encoding is not None:
            headers["Content-Encoding"] = job.file.content_encoding
        url = (self._url / "datasets" / job.file.name).with_query(_parameters(job))
        try:
            async with self._session.put(
                url, data=job.file.chunks(watcher.read), headers=headers, allow_redirects=False
            ) as response:
                return _receipt(response, await response.read())
        except aiohttp.ClientConnectorError as error:
            raise CommandError(f"{self._url} cannot be reached: {reason(error.os_error)}.") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise CommandError(f"{self._url} broke off: {str(error) or 'no answer in time'}.") from error


def _parameters(job: LoadJob) -> dict[str, str]:
    on_error = "skip" if job.skip_errors else None
    given = {"key": job.key, "delimiter": job.delimiter, "on_error": on_error}
    types = {f"type.{column}": kind for column, kind in job.types.items()}
    return {name: value for name, value in given.items() if value is not None} | types


def _receipt(response: aiohttp.ClientResponse, body: bytes) -> dict[str, Any]:
    """Return the JSON object of a success; raises `AeroliteError` with what a problem says."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {}
    if response.ok and response.status < 300 and "loaded" in document:
        return document
    if isinstance(document.get("detail"), str):
        raise AeroliteError(document["detail"], line=document.get("line"))
    raise CommandError(
        f"{response.url.origin()} answers {response.status} {response.reason}"
        " instead of a receipt: is it an Aerolite server?"
    )
