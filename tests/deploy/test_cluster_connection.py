"""From a kubeconfig to answers, and what each way of failing is called."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from service.deploy.cluster import Cluster, Patience
from service.deploy.errors import ApiProblem, ConfigurationProblem, Unreachable
from service.deploy.objects import Ref
from service.deploy.options import Target
from service.deploy.resources import Resources

from .conftest import PATIENCE
from .kube_api import KubeApi

NAMESPACE = Ref("v1", "Namespace", None, "aerolite")


async def test_a_missing_kubeconfig(tmp_path: Path) -> None:
    """The path is named, and how to give another."""
    with pytest.raises(ConfigurationProblem, match=r"no kubeconfig at .*gone: set KUBECONFIG or pass"):
        async with Cluster(Target(kubeconfig=str(tmp_path / "gone"))):
            pass


@pytest.mark.parametrize(
    "content",
    ["", "[]", "text", "{", "clusters: 7\ncontexts: []\nusers: []", "current-context: x", "\0"],
)
async def test_a_broken_kubeconfig(tmp_path: Path, content: str) -> None:
    """Whatever is wrong with the file, the sentence names it."""
    path = tmp_path / "broken"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(ConfigurationProblem, match=r"the kubeconfig .*broken does not work: "):
        async with Cluster(Target(kubeconfig=str(path))):
            pass


async def test_an_unknown_context(api: KubeApi, tmp_path: Path) -> None:
    """A context that the kubeconfig does not have is named."""
    path = api.write_kubeconfig(tmp_path / "kubeconfig")

    with pytest.raises(ConfigurationProblem, match="Expected object with name other"):
        async with Cluster(Target(kubeconfig=str(path), context="other")):
            pass


async def test_certificates_that_are_none(api: KubeApi, tmp_path: Path) -> None:
    """A kubeconfig whose certificate cannot be read is a broken one."""
    path = api.write_kubeconfig(tmp_path / "kubeconfig")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["clusters"][0]["cluster"] = {
        "server": "https://127.0.0.1:1",
        "certificate-authority-data": "bm8gY2VydGlmaWNhdGU=",
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")

    with pytest.raises(ConfigurationProblem, match="does not work"):
        async with Cluster(Target(kubeconfig=str(path))):
            pass


async def test_several_kubeconfigs(api: KubeApi, tmp_path: Path) -> None:
    """KUBECONFIG may list files, of which some are missing."""
    path = api.write_kubeconfig(tmp_path / "kubeconfig")

    async with Cluster(Target(kubeconfig=f"{tmp_path / 'gone'}:{path}"), PATIENCE) as cluster:
        await cluster.greet()
        assert cluster.context == "stand-in"


async def test_a_user_that_is_turned_away(api: KubeApi, tmp_path: Path) -> None:
    """Credentials that the API server does not take are said to be so, before anything else."""
    path = api.write_kubeconfig(tmp_path / "kubeconfig", token="wrong")

    async with Cluster(Target(kubeconfig=str(path)), PATIENCE) as cluster:
        with pytest.raises(ConfigurationProblem, match="stand-in turns its user away: Unauthorized"):
            await cluster.greet()


async def test_a_token_that_ends_is_renewed(api: KubeApi, tmp_path: Path) -> None:
    """A rollout may outlast a token, so a 401 makes the client ask its kubeconfig anew."""
    token = tmp_path / "token"
    token.write_text(api.token, encoding="utf-8")
    path = api.write_kubeconfig(tmp_path / "kubeconfig", tokenFile=str(token))
    api.make_namespace()
    async with Cluster(Target(kubeconfig=str(path)), PATIENCE) as cluster:
        await cluster.greet()

        api.token = "another"
        token.write_text("another", encoding="utf-8")

        assert await Resources(cluster).get(NAMESPACE)


async def test_a_token_that_cannot_be_renewed(api: KubeApi, tmp_path: Path) -> None:
    """Where the kubeconfig's user has no token any more, the request is refused with the reason."""
    token = tmp_path / "token"
    token.write_text(api.token, encoding="utf-8")
    path = api.write_kubeconfig(tmp_path / "kubeconfig", tokenFile=str(token))
    async with Cluster(Target(kubeconfig=str(path)), PATIENCE) as cluster:
        api.token = "another"
        token.unlink()

        with pytest.raises(ApiProblem, match="No such file"):
            await Resources(cluster).get(NAMESPACE)


async def test_a_bad_moment_passes(api: KubeApi, resources: Resources) -> None:
    """A 503 is asked again, as often as patience lasts."""
    api.make_namespace()
    api.faults["unavailable"] = PATIENCE.attempts - 1

    assert await resources.get(NAMESPACE)


async def test_a_bad_moment_that_lasts(api: KubeApi, resources: Resources) -> None:
    """After the last attempt the refusal is what is told."""
    api.make_namespace()
    api.faults["unavailable"] = PATIENCE.attempts

    with pytest.raises(ApiProblem, match="currently unable"):
        await resources.get(NAMESPACE)


async def test_a_deletion_of_another_object_of_the_name(api: KubeApi, resources: Resources) -> None:
    """What came later under the same name is not deleted, and what is gone is fine."""
    api.make_namespace()
    live = await resources.get(NAMESPACE)
    assert live
    earlier = {**live, "metadata": {**live["metadata"], "uid": "another"}}

    await resources.delete(earlier)
    assert await resources.get(NAMESPACE)

    await resources.delete(live)
    await resources.delete(live)
    assert await resources.get(NAMESPACE) is None


async def test_a_deletion_without_rights(api: KubeApi, resources: Resources) -> None:
    """A deletion that is forbidden is told."""
    api.make_namespace()
    api.denied.add(("delete", "namespaces"))
    live = await resources.get(NAMESPACE)
    assert live

    with pytest.raises(ApiProblem, match="cannot delete"):
        await resources.delete(live)


async def test_a_websocket_that_is_refused(resources: Resources) -> None:
    """A path that takes no websocket is a refusal, with HTTP's status."""
    with pytest.raises(ApiProblem) as problem:
        async with resources.cluster.websocket("/version", {}):
            pass

    assert problem.value.status == 200


@pytest.fixture
async def stranger(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Connect to a server that is no API server."""

    async def greet(request: web.Request) -> web.Response:
        status = 502 if request.path.startswith("/apis") else 200
        if request.path == "/version":
            # So an API server answers that cannot merge an apply: no reason, which other errors have.
            broken = {"kind": "Status", "status": "Failure", "message": "no merge key", "code": 500}
            return web.json_response(broken, status=500)
        return web.Response(text="<html>Please log in</html>", status=status)

    app = web.Application()
    app.router.add_get("/{path:.*}", greet)
    async with TestServer(app) as server:
        config = {
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": str(server.make_url("/"))}}],
            "users": [],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        }
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        async with Cluster(Target(kubeconfig=str(path)), PATIENCE) as cluster:
            yield cluster


async def test_an_answer_that_is_no_json(stranger: Cluster) -> None:
    """A login page in the place of an API server is told as what it is."""
    with pytest.raises(ApiProblem, match="the answer is no JSON: <html>Please log in</html>"):
        await stranger.request("GET", "/api/v1")


async def test_an_error_that_is_no_status(stranger: Cluster) -> None:
    """A proxy's error page is told with HTTP's status."""
    with pytest.raises(ApiProblem, match="HTTP 502: <html>Please log in</html>"):
        await stranger.request("GET", "/apis/apps/v1")


async def test_an_error_without_a_reason(stranger: Cluster) -> None:
    """Of an internal error the message is told, not the document around it."""
    with pytest.raises(ApiProblem, match=r"^no merge key$") as problem:
        await stranger.request("GET", "/version")
    assert (problem.value.status, problem.value.reason) == (500, "")


async def test_an_api_server_that_does_not_answer(tmp_path: Path, api: KubeApi) -> None:
    """Who listens and says nothing is given up after the request's time."""
    heard = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set()
        try:
            await reader.read()
        finally:  # also where the test ends first
            writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as silent:
        path = api.write_kubeconfig(tmp_path / "kubeconfig")
        address = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        path.write_text(path.read_text(encoding="utf-8").replace(api.url, address), encoding="utf-8")
        async with Cluster(Target(kubeconfig=str(path)), Patience(request_s=2)) as cluster:
            with pytest.raises(ConfigurationProblem, match=f"no answer in time from {address}"):
                await cluster.greet()
    assert heard.is_set()


async def test_an_api_server_that_goes_away(tmp_path: Path) -> None:
    """After it answered once, an API server that does not is unreachable."""
    async with KubeApi() as api:
        path = api.write_kubeconfig(tmp_path / "kubeconfig")
        cluster = await Cluster(Target(kubeconfig=str(path)), PATIENCE).__aenter__()
        await cluster.greet()
    try:
        with pytest.raises(Unreachable, match="Cannot connect to host"):
            await cluster.request("GET", "/version")
    finally:
        await cluster.__aexit__(None, None, None)
