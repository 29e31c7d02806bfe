"""Small JSON requests to a server that runs elsewhere."""

from __future__ import annotations

import json
import re
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from service.cli.session import CommandError, reason
from service.domain.errors import AeroliteError

TIMEOUT_S = 60


class ApiClient:
    """Speaks to the API at a URL; `async with` holds its connections.

    Raises `CommandError` for a wrong URL or key.
    """

    def __init__(self, url: str, api_key: str | None) -> None:
        try:
            self._url = URL(url.rstrip("/"))
        except ValueError:
            self._url = URL()
        if self._url.scheme not in {"http", "https"} or not self._url.host:
            raise CommandError(f"--url cannot be {url!r}: it takes a URL such as http://localhost:8080.")
        self._headers = {"Accept": "application/json"}
        if api_key is not None:
            if re.fullmatch(r"[\x21-\x7e]+", api_key) is None:
                raise CommandError("The API key takes printable ASCII characters without blanks.")
            self._headers["Authorization"] = f"Bearer {api_key}"

    async def __aenter__(self) -> Self:
        """Open a pool of connections."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=10)
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        await self._session.close()

    async def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Return the JSON object of a success (empty where there is none).

        Raises `AeroliteError` with what a problem says, `CommandError` where it is no Aerolite that answers.
        """
        url = URL(f"{self._url}{path}", encoded=True)
        try:
            async with self._session.request(method, url, json=body, allow_redirects=False) as response:
                return _document(response, await response.read())
        except aiohttp.ClientConnectorError as error:
            raise CommandError(f"{self._url} cannot be reached: {reason(error.os_error)}.") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise CommandError(f"{self._url} broke off: {str(error) or 'no answer in time'}.") from error


def _document(response: aiohttp.ClientResponse, body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body) if body else {}
    except ValueError:
        document = None
    if isinstance(document, dict) and response.status < 300:
        return document
    if isinstance(document, dict) and isinstance(document.get("detail"), str):
        raise AeroliteError(document["detail"], pointer=document.get("pointer"))
    raise CommandError(
        f"{response.url.origin()} answers {response.status} {response.reason}: is it an Aerolite server?"
    )
