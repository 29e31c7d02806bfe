"""Ask the new pods for data, as the oldest client would and as the newest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from service.deploy.errors import RolloutFailed
from service.deploy.forward import Tunnel, port_forward
from service.deploy.objects import Manifest, Ref
from service.deploy.resources import Resources

ENDPOINT_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 30.0

# The first contract answers with all records there are: this much shows whether it works.
_READ_BYTES = 1 << 16


class SmokeTestFailed(RolloutFailed):
    """The pods are ready, and yet they do not answer as they should."""


@dataclass(frozen=True)
class _Answer:
    status: int
    version: str | None
    start: bytes


async def smoke_test(
    resources: Resources,
    service: str,
    show: Callable[[str], None],
    endpoint_timeout_s: float = ENDPOINT_TIMEOUT_S,
) -> None:
    """GET /readyz, /versions, and /data under the first and the newest contract.

    Speaks to a pod that gets the Service's traffic. A service that wants a key (401) passes where
    it says under which contract it wants it. Raises `SmokeTestFailed` that says what was answered.
    """
    pod, port = await _endpoint(resources, service, endpoint_timeout_s)
    async with port_forward(resources, pod, port) as tunnel:
        url = f"http://127.0.0.1:{tunnel.local_port}"
        timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
        async with aiohttp.ClientSession(url, timeout=timeout) as session:
            try:
                await _ask(session, show)
            except (aiohttp.ClientError, TimeoutError) as error:
                raise SmokeTestFailed(f"{pod} does not answer: {_why(tunnel, error)}") from error


async def _ask(session: aiohttp.ClientSession, show: Callable[[str], None]) -> None:
    await _get(session, "/readyz", None, show)
    contracts = _contracts(await _get(session, "/versions", None, show))
    for contract in dict.fromkeys((contracts[0], contracts[-1])):
        answer = await _get(session, "/data", contract, show)
        if answer.version != contract:
            raise SmokeTestFailed(f"GET /data, asked under {contract}, answered under {answer.version}")


async def _get(
    session: aiohttp.ClientSession, path: str, contract: str | None, show: Callable[[str], None]
) -> _Answer:
    headers = {"API-Version": contract} if contract else {}
    async with session.get(path, headers=headers) as response:
        start = await _beginning(response.content)
        answer = _Answer(response.status, response.headers.get("API-Version"), start)
    asked = f"GET {path}" + (f" under {contract}" if contract else "")
    if answer.status != 200 and not (contract and answer.status == 401):
        text = " ".join(start.decode(errors="replace").split())
        raise SmokeTestFailed(f"{asked} answered {answer.status}: {text:.200}")
    show(f"{asked}: {answer.status}" + (", it wants a key" if answer.status == 401 else ""))
    return answer


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    start = bytearray()
    while len(start) < _READ_BYTES and (chunk := await content.read(_READ_BYTES)):
        start += chunk
    return bytes(start)


def _contracts(answer: _Answer) -> list[str]:
    """Return the dates of the contracts that are still served, oldest first."""
    try:
        listed: list[dict[str, Any]] = json.loads(answer.start)["versions"]
        dates = sorted(one["version"] for one in listed if one["state"] != "sunset")
    except (ValueError, KeyError, TypeError) as error:
        raise SmokeTestFailed(f"GET /versions is no list of contracts: {error!r}") from error
    if not dates:
        raise SmokeTestFailed("GET /versions lists no contract that is still served")
    return dates


async def _endpoint(resources: Resources, service: str, timeout_s: float) -> tuple[Ref, int]:
    """Wait for a ready pod behind the Service: its endpoints come a moment after readiness."""
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                slices = await resources.list_all(
                    "discovery.k8s.io/v1",
                    "endpointslices",
                    {"labelSelector": f"kubernetes.io/service-name={service}"},
                )
                for one in slices:
                    if found := _ready(one, resources.cluster.namespace):
                        return found
                await asyncio.sleep(resources.cluster.patience.first_delay_s)
    except TimeoutError:
        raise SmokeTestFailed(f"the Service {service} has no ready pod after {timeout_s:.0f} s") from None


def _ready(endpoint_slice: Manifest, namespace: str) -> tuple[Ref, int] | None:
    ports = {port.get("name"): port.get("port") for port in endpoint_slice.get("ports") or []}
    port = ports.get("http") or next(iter(ports.values()), None)
    for endpoint in endpoint_slice.get("endpoints") or []:
        target = endpoint.get("targetRef") or {}
        ready = (endpoint.get("conditions") or {}).get("ready")
        if port and ready and target.get("kind") == "Pod":
            return Ref("v1", "Pod", namespace, target["name"]), port
    return None


def _why(tunnel: Tunnel, error: Exception) -> str:
    return "; ".join(tunnel.complaints) or str(error) or type(error).__name__
