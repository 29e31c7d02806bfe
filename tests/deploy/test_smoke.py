"""Asking the new pods for data."""

from __future__ import annotations

import asyncio
import copy

import aiohttp
import pytest

from service.deploy.errors import ApiProblem
from service.deploy.forward import port_forward
from service.deploy.objects import Ref
from service.deploy.resources import Resources
from service.deploy.smoke import SmokeTestFailed, smoke_test
from tests.waiting import patience, until

from . import overlays as made
from .kube_api import KubeApi


@pytest.fixture
def pods(api: KubeApi) -> str:
    """Put ready pods behind a Service, and return the name of one."""
    api.make_namespace()
    for plural, manifest in (("services", made.service()), ("deployments", made.deployment())):
        manifest["metadata"]["namespace"] = "aerolite"
        if plural == "deployments":
            del manifest["spec"]["template"]["spec"]["containers"][0]["env"]
        api.store.put((plural, "aerolite", "aerolite"), manifest)
    name: str = api.store.of("pods", "aerolite")[0]["metadata"]["name"]
    return name


async def test_a_service_without_ready_pods(api: KubeApi, resources: Resources) -> None:
    """A Service that leads nowhere fails the test, however ready the pods are."""
    api.make_namespace()

    with pytest.raises(SmokeTestFailed, match="the Service aerolite has no ready pod after 0 s"):
        await smoke_test(resources, "aerolite", print, endpoint_timeout_s=0.1)


async def test_endpoints_may_come_a_moment_later(api: KubeApi, resources: Resources, pods: str) -> None:
    """The test waits for the first ready endpoint."""
    key = ("endpointslices", "aerolite", "aerolite")
    ready = copy.deepcopy(api.store.objects[key])
    for endpoint in api.store.objects[key]["endpoints"]:
        endpoint["conditions"]["ready"] = False
    testing = asyncio.ensure_future(smoke_test(resources, "aerolite", print))
    await until(lambda: any("endpointslices" in target for _, target in api.requests))

    api.store.objects[key] = ready

    await testing


async def test_a_slice_whose_port_has_no_name(api: KubeApi, resources: Resources, pods: str) -> None:
    """A Service of a single unnamed port is asked at that port; pods that are not ready are not asked."""
    live = api.store.objects["endpointslices", "aerolite", "aerolite"]
    live["ports"] = [{"name": "", "port": 8080}]
    live["endpoints"][0]["conditions"]["ready"] = False
    second = live["endpoints"][1]["targetRef"]["name"]

    await smoke_test(resources, "aerolite", print)

    assert any(f"{second}/portforward" in target for _, target in api.requests)
    assert not any(f"{pods}/portforward" in target for _, target in api.requests)


async def test_a_port_that_nobody_listens_at(api: KubeApi, resources: Resources, pods: str) -> None:
    """The kubelet's word for it is told."""
    api.faults["port closed"] = 10

    with pytest.raises(SmokeTestFailed, match="error forwarding port 8080: connection refused"):
        await smoke_test(resources, "aerolite", print)


async def test_a_port_forward_without_rights(api: KubeApi, resources: Resources, pods: str) -> None:
    """A refused websocket is told."""
    api.denied.add(("create", "pods/portforward"))

    with pytest.raises(SmokeTestFailed, match="no websocket"):
        await smoke_test(resources, "aerolite", print)


async def test_a_port_forward_carries_many_connections(api: KubeApi, resources: Resources, pods: str) -> None:
    """Each connection has a websocket of its own, and large answers come whole."""
    async with port_forward(resources, Ref("v1", "Pod", "aerolite", pods), 8080) as tunnel:
        url = f"http://127.0.0.1:{tunnel.local_port}/data"
        async with aiohttp.ClientSession(headers={"API-Version": "2026-11-20"}) as session:

            async def count() -> int:
                async with session.get(url) as response:
                    return len(await response.json(content_type=None))

            assert await asyncio.gather(*(count() for _ in range(8))) == [20_000] * 8
    assert not tunnel.complaints
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", tunnel.local_port)


async def test_a_port_forward_ends_with_connections_open(
    api: KubeApi, resources: Resources, pods: str
) -> None:
    """Leaving the context closes what is still connected."""
    async with port_forward(resources, Ref("v1", "Pod", "aerolite", pods), 8080) as tunnel:
        reader, writer = await asyncio.open_connection("127.0.0.1", tunnel.local_port)
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"

    async with patience():
        await reader.read()
    writer.close()


async def test_a_pod_that_is_gone(resources: Resources) -> None:
    """A port-forward to a pod that is not there says so."""
    async with port_forward(resources, Ref("v1", "Pod", "aerolite", "gone"), 8080) as tunnel:
        reader, writer = await asyncio.open_connection("127.0.0.1", tunnel.local_port)
        assert await reader.read() == b""
        writer.close()

    assert tunnel.complaints
    with pytest.raises(ApiProblem):
        await resources.cluster.request("GET", "/api/v1/namespaces/aerolite/pods/gone")
