"""One connection to a Kubernetes API server; the client's own failures end here."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import yaml
from kubernetes.aio import client, config
from kubernetes.aio.stream import WsApiClient

from service.deploy.errors import ApiProblem, ConfigurationProblem, Unreachable
from service.deploy.objects import Manifest
from service.deploy.options import Target

JSON = "application/json"

# "Not now", by https://kubernetes.io/docs/reference/using-api/api-concepts/ and client-go. A 409
# of a PATCH is a lost race between two writers, as conflicts between field owners are forced.
_NOT_NOW = frozenset({429, 500, 503, 504})
_REPEATABLE = frozenset({"GET", "PATCH", "DELETE"})

_BAD_KUBECONFIG = (
    config.ConfigException,
    yaml.YAMLError,
    OSError,
    # The client takes the file's form for granted, so a wrong one surfaces as any of these.
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class Patience:
    """How long to wait for the API server, and how often to ask again."""

    connect_s: float = 10.0
    request_s: float = 30.0
    attempts: int = 5
    first_delay_s: float = 0.25
    """The pause before the second attempt; it doubles before each further one."""


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    query: Mapping[str, object] = field(default_factory=dict)
    body: object = None
    content_type: str = JSON


class Cluster:
    """The API server of one kubeconfig context, to be entered with `async with`.

    Entering raises `ConfigurationProblem` for a kubeconfig that is missing or broken; requests
    raise `ApiProblem`, or `Unreachable` where no answer comes.
    """

    def __init__(self, target: Target, patience: Patience | None = None) -> None:
        self.namespace = target.namespace
        self.context = target.context or "the current context"
        self.patience = patience or Patience()
        self._target = target

    async def __aenter__(self) -> Self:
        self._configuration = client.Configuration()
        # Python 3.13 refuses certificates that kubectl takes, like EKS' without an authority key
        # identifier. Chain and host name are verified all the same.
        self._configuration.disable_strict_ssl_verification = True
        path = _existing(self._target.kubeconfig)
        try:
            self._loader = await config.load_kube_config(
                config_file=path,
                context=self._target.context,
                client_configuration=self._configuration,
                persist_config=False,
            )
            self.context = self._loader.current_context["name"]
            self._api = client.ApiClient(configuration=self._configuration)
        except _BAD_KUBECONFIG as error:
            raise ConfigurationProblem(f"the kubeconfig {path} does not work: {_one_line(error)}") from error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._api.close()

    async def greet(self) -> None:
        """Raise `ConfigurationProblem`, without a second attempt, where no API server answers."""
        try:
            await self._text(_Request("GET", "/version"))
        except Unreachable as problem:
            raise ConfigurationProblem(
                f"the API server of {self.context} cannot be reached: {problem}"
            ) from problem
        except ApiProblem as problem:
            raise ConfigurationProblem(
                f"the API server of {self.context} turns its user away: {problem}"
            ) from problem

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        content_type: str = JSON,
    ) -> Manifest:
        """Return the JSON that the API server answers, asking again where that is worth it."""
        request = _Request(method, path, query or {}, body, content_type)
        delay_s = self.patience.first_delay_s
        for _ in range(self.patience.attempts - 1):
            try:
                return _decoded(await self._text(request))
            except ApiProblem as problem:
                if not _worth_repeating(request, problem):
                    raise
            await asyncio.sleep(delay_s)
            delay_s *= 2
        return _decoded(await self._text(request))

    async def get_text(self, path: str, query: Mapping[str, object] | None = None) -> str:
        """Return an answer that is no JSON, like a container's log; asked for once."""
        return await self._text(_Request("GET", path, query or {}))

    async def stream(self, path: str, query: Mapping[str, object], timeout_s: float) -> AsyncGenerator[bytes]:
        """Yield the lines of an answer as they come, for at most `timeout_s`."""
        with self._translated():
            async with self._answer(_Request("GET", path, query), timeout_s) as response:
                async for line in response.content:
                    yield line

    @asynccontextmanager
    async def websocket(
        self, path: str, query: Mapping[str, object]
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a websocket that speaks Kubernetes' channels (`v4.channel.k8s.io`)."""
        async with WsApiClient(configuration=self._configuration) as api:
            with self._translated():
                arguments = await api.param_serialize(
                    "GET", path, query_params=dict(query), auth_settings=["BearerToken"]
                )
                opening = await api.call_api(*arguments, _preload_content=False)
                async with asyncio.timeout(self.patience.connect_s):
                    socket: aiohttp.ClientWebSocketResponse = await opening.response
            try:
                yield socket
            finally:
                await socket.close()

    async def _text(self, request: _Request) -> str:
        with self._translated():
            async with self._answer(request, self.patience.request_s) as response:
                return await response.text(errors="replace")

    @asynccontextmanager
    async def _answer(self, request: _Request, timeout_s: float) -> AsyncIterator[aiohttp.ClientResponse]:
        response = await self._send(request, timeout_s)
        if response.status == 401:
            # Tokens of exec plugins live for minutes and a rollout may last longer: get a new one.
            response.release()
            await self._authenticate_again()
            response = await self._send(request, timeout_s)
        async with response:
            if response.status >= 400:
                raise _problem(response.status, await response.text(errors="replace"))
            yield response

    async def _send(self, request: _Request, timeout_s: float) -> aiohttp.ClientResponse:
        arguments = await self._api.param_serialize(
            request.method,
            request.path,
            query_params=dict(request.query),
            header_params={
                "Accept": "application/json, */*",
                "Content-Type": request.content_type,
            },
            body=request.body,
            auth_settings=["BearerToken"],
        )
        timeout = aiohttp.ClientTimeout(total=timeout_s, connect=self.patience.connect_s)
        answer = await self._api.call_api(*arguments, _request_timeout=timeout)
        response: aiohttp.ClientResponse = answer.response
        return response

    async def _authenticate_again(self) -> None:
        try:
            await self._loader.load_and_set(self._configuration)
        except _BAD_KUBECONFIG as error:
            raise ApiProblem(401, "Unauthorized", _one_line(error)) from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except aiohttp.WSServerHandshakeError as error:
            raise ApiProblem(error.status, "Handshake", f"no websocket: {error.message}") from error
        except TimeoutError as error:
            raise Unreachable(f"no answer in time from {self._configuration.host}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{self._configuration.host}: {_one_line(error)}") from error


def _existing(kubeconfig: str | None) -> str:
    path = kubeconfig or str(Path.home() / ".kube" / "config")
    if not any(Path(part).expanduser().is_file() for part in path.split(os.pathsep)):
        raise ConfigurationProblem(f"there is no kubeconfig at {path}: set KUBECONFIG or pass --kubeconfig")
    return path


def _worth_repeating(request: _Request, problem: ApiProblem) -> bool:
    if request.method not in _REPEATABLE:
        return False
    if problem.status == 409:
        return request.method == "PATCH"
    return problem.status in _NOT_NOW or isinstance(problem, Unreachable)


def _problem(status: int, text: str) -> ApiProblem:
    try:
        answer = json.loads(text)
        # An internal error has no reason.
        return ApiProblem(status, answer.get("reason", ""), answer["message"])
    except (ValueError, KeyError, TypeError, AttributeError):  # a proxy's answer, not the API server's
        return ApiProblem(status, "", f"HTTP {status}: {_one_line(text):.200}")


def _decoded(text: str) -> Manifest:
    try:
        answer: Manifest = json.loads(text)
    except ValueError as error:  # a captive portal, a login page
        raise ApiProblem(200, "", f"the answer is no JSON: {_one_line(text):.80}") from error
    return answer


def _one_line(text: object) -> str:
    return " ".join(str(text).split()) or type(text).__name__
