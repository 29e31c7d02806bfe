"""Small JSON requests to a server that runs elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
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
        success = await self.fetch(method, path, body)
        document = _parsed(success.body) if success.body else {}
        if document is None:
            raise self._stranger(success.status, "")
        return document

    async def fetch(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Success:
        """Return a success as it came. Raises what `ask` raises."""
        url = URL(f"{self._url}{path}", encoded=True)
        try:
            async with self._session.request(
                method, url, json=body, headers=headers, allow_redirects=False
            ) as response:
                content = await response.read()
        except aiohttp.ClientConnectorError as error:
            raise CommandError(f"{self._url} cannot be reached: {reason(error.os_error)}.") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise CommandError(f"{self._url} broke off: {str(error) or 'no answer in time'}.") from error
        if response.status < 300:
            return Success(response.status, response.headers, content)
        problem = _parsed(content)
        if problem is not None and isinstance(problem.get("detail"), str):
            members = {name: problem[name] for name in ("position",) if name in problem}
            raise AeroliteError(problem["detail"], pointer=problem.get("pointer"), **members)
        raise self._stranger(response.status, response.reason or "")

    def _stranger(self, status: int, why: str) -> CommandError:
        answered = f"{status} {why}".rstrip()
        return CommandError(f"{self._url.origin()} answers {answered}: is it an Aerolite server?")


@dataclass(frozen=True, slots=True)
class Success:
    """An answer with a status below 300."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def _parsed(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
