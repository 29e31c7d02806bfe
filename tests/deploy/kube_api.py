"""An HTTP stand-in of the Kubernetes API server, with faults to order.

What it answers follows https://kubernetes.io/docs/reference/using-api/api-concepts/ and the real
server's habits that matter to a client: items of a list carry no kind, a dry run stores nothing, a
watch from a forgotten version is told 410 Gone within a 200.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from . import kube_fields
from .kube_controllers import Controllers, image_tag
from .kube_store import KINDS, Key, Kind, KubeStore, Object, Refused
from .pod_service import PodService

_PATH = re.compile(
    r"/(?:api|apis)/(?P<version>v1|[^/]+/[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?"
)


class KubeApi:
    """The stand-in; `async with` serves it on a loopback port.

    Faults, each counted down as it happens: `faults["conflict"]` refuses applies with a 409,
    `["unavailable"]` reads with a 503, `["drop watch"]` breaks a watch after its first event, in the
    middle of a line, `["cut watch"]` ends it there as a proxy would, `["gone"]` answers a watch with
    410, `["hang up"]` closes the connection of a patch, `["port closed"]` that of a forwarded port. `denied` holds `(verb, resource)` pairs that
    RBAC refuses. `refused` maps `PLURAL/NAME` to what an apply, though its dry run passed, is told.
    """

    def __init__(self, token: str = "let-me-in") -> None:
        self.store = KubeStore()
        self.controllers = Controllers(self.store)
        self.faults: Counter[str] = Counter()
        self.denied: set[tuple[str, str]] = set()
        self.refused: dict[str, str] = {}
        self.token = token
        self.requests: list[tuple[str, str]] = []
        self.services: dict[str, PodService] = {}
        self._ports: dict[str, int] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._server = await self._serve(app)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def url(self) -> str:
        """Where it listens."""
        return str(self._server.make_url("")).rstrip("/")

    @property
    def changes(self) -> list[tuple[str, str]]:
        """The requests that were to change something: all but reads, reviews and dry runs."""
        return [
            (method, target)
            for method, target in self.requests
            if method != "GET" and "dryRun" not in target and "accessreviews" not in target
        ]

    def write_kubeconfig(self, path: Path, **user: str) -> Path:
        """Write a kubeconfig whose only context is called `stand-in`."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "stand-in",
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": user or {"token": self.token}}],
            "contexts": [{"name": "stand-in", "context": {"cluster": "c", "user": "u"}}],
        }
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    def make_namespace(self, name: str = "aerolite") -> None:
        """Put a namespace there, as an administrator would have."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        self.store.put(("namespaces", None, name), body)

    async def _serve(self, app: web.Application) -> TestServer:
        server = TestServer(app)
        await server.start_server(shutdown_timeout=0.1)
        self._stack.push_async_callback(server.close)
        return server

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, str(request.rel_url)))
        if request.method == "PATCH" and self.faults["hang up"] > 0:
            self.faults["hang up"] -= 1
            assert request.transport is not None
            request.transport.abort()
        try:
            if request.headers.get("Authorization") != f"Bearer {self.token}":
                raise Refused(401, "Unauthorized", "Unauthorized")
            return await self._route(request)
        except Refused as refused:
            return web.json_response(
                {
                    "kind": "Status",
                    "status": "Failure",
                    "code": refused.status,
                    "reason": refused.reason,
                    "message": str(refused),
                },
                status=refused.status,
            )

    async def _route(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if path == "/version":
            return web.json_response({"major": "1", "minor": "34"})
        if path.endswith("/selfsubjectaccessreviews"):
            return await self._review(request)
        if found := _PATH.fullmatch(path):
            return await self._object(request, found)
        return web.json_response({"resources": self._discovery(path)})

    def _discovery(self, path: str) -> list[Object]:
        version = path.removeprefix("/apis/").removeprefix("/api/")
        kinds = [kind for kind in KINDS if kind.api_version == version]
        if not kinds:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        resources = [
            {"name": kind.plural, "kind": kind.kind, "namespaced": kind.namespaced} for kind in kinds
        ]
        return [*resources, {"name": "deployments/scale", "kind": "Scale", "namespaced": True}]

    async def _review(self, request: web.Request) -> web.Response:
        body = await request.json()
        asked = body["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, (asked["resource"], asked["subresource"])))
        allowed = (asked["verb"], resource) not in self.denied
        return web.json_response({**body, "status": {"allowed": allowed}})

    async def _object(self, request: web.Request, found: re.Match[str]) -> web.StreamResponse:
        plural, namespace, name, sub = found.group("plural", "namespace", "name", "sub")
        verb = {"GET": "get", "PATCH": "patch", "POST": "create", "DELETE": "delete"}[request.method]
        self._authorise(verb, "/".join(filter(None, (plural, sub))), namespace)
        kind = next(one for one in KINDS if one.plural == plural)
        if name is None:
            return await self._collection(request, kind, namespace)
        key = (plural, namespace if kind.namespaced else None, name)
        match sub or verb:
            case "log":
                return self._log(request, key)
            case "portforward":
                return await self._forward(request, key)
            case "patch":
                return await self._patch(request, key)
            case "delete":
                return await self._delete(request, key)
        if self.faults["unavailable"] > 0:
            self.faults["unavailable"] -= 1
            raise Refused(503, "ServiceUnavailable", "the server is currently unable to handle the request")
        return web.json_response(self.store.get(*key))

    async def _collection(
        self, request: web.Request, kind: Kind, namespace: str | None
    ) -> web.StreamResponse:
        if request.method == "POST":
            return await self._create(request, kind, namespace)
        if "watch" in request.query:
            self._authorise("watch", kind.plural, namespace)
            return await self._watch(request, kind, namespace)
        return self._list(request, kind, namespace)

    def _authorise(self, verb: str, resource: str, namespace: str | None) -> None:
        if (verb, resource) in self.denied:
            raise Refused(
                403,
                "Forbidden",
                f'{resource} is forbidden: User "dev" cannot {verb} resource "{resource}"'
                f' in the namespace "{namespace}"',
            )

    def _list(self, request: web.Request, kind: Kind, namespace: str | None) -> web.Response:
        name, _, value = request.query.get("labelSelector", "").partition("=")
        items = [
            {key: part for key, part in obj.items() if key not in ("apiVersion", "kind")}
            for obj in self.store.of(kind.plural, namespace)
            if not name or obj["metadata"].get("labels", {}).get(name) == value
        ]
        metadata = {"resourceVersion": str(self.store.version)}
        body = {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata}
        return web.json_response({**body, "items": items})

    async def _create(self, request: web.Request, kind: Kind, namespace: str | None) -> web.Response:
        body = await request.json()
        key = (kind.plural, namespace, body["metadata"]["name"])
        if key in self.store.objects:
            raise Refused(409, "AlreadyExists", f'{kind.plural} "{key[2]}" already exists')
        for name, value in body.pop("stringData", {}).items():
            body.setdefault("data", {})[name] = base64.b64encode(value.encode()).decode()
        return web.json_response(self.store.put(key, body), status=201)

    async def _patch(self, request: web.Request, key: Key) -> web.Response:
        body = json.loads(await request.text())
        manager, dry_run = request.query["fieldManager"], request.query.get("dryRun") == "All"
        if request.content_type != "application/apply-patch+yaml":
            return web.json_response(self._merge(key, body, request.content_type, manager))
        if not dry_run:
            if self.faults["conflict"] > 0:
                self.faults["conflict"] -= 1
                raise Refused(409, "Conflict", "the object has been modified; please apply your changes")
            if message := self.refused.get(f"{key[0]}/{key[2]}"):
                raise Refused(422, "Invalid", message)
        force = request.query.get("force") == "true"
        return web.json_response(self.store.apply(key, body, manager, force=force, dry_run=dry_run))

    def _merge(self, key: Key, patch: Any, content_type: str, manager: str) -> Object:
        after = json.loads(json.dumps(self.store.get(*key)))
        if content_type == "application/json-patch+json":
            for operation in patch:
                assert operation["op"] == "replace"
                path = tuple(f"f:{step}" for step in operation["path"].strip("/").split("/"))
                kube_fields.remove_at(after, path)
                kube_fields.set_at(after, path, operation["value"])
        else:
            for path, value in kube_fields.leaves(patch).items():
                kube_fields.set_at(after, path, value)
        return self.store.update(key, after, manager)

    async def _delete(self, request: web.Request, key: Key) -> web.Response:
        obj = self.store.get(*key)
        expected = (await request.json())["preconditions"]["uid"]
        if obj["metadata"]["uid"] != expected:
            raise Refused(409, "Conflict", f"the UID in the precondition ({expected}) does not match")
        self.store.delete(key)
        return web.json_response(obj)

    async def _watch(self, request: web.Request, kind: Kind, namespace: str | None) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        assert "timeoutSeconds" in request.query, "a watch without a time limit never ends"
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        # A client may be gone before it is answered, as when its wait is over.
        with suppress(ConnectionError):
            await self._stream(request, response, kind, namespace, since)
        return response

    async def _stream(
        self,
        request: web.Request,
        response: web.StreamResponse,
        kind: Kind,
        namespace: str | None,
        since: int,
    ) -> None:
        await response.prepare(request)
        if since < self.store.oldest or self.faults["gone"] > 0:
            self.faults["gone"] = max(self.faults["gone"] - 1, 0)
            status = {"code": 410, "reason": "Expired", "message": f"too old resource version: {since}"}
            await response.write(_line("ERROR", status))
            return
        await response.write(_line("BOOKMARK", {"metadata": {"resourceVersion": str(since)}}))
        while True:
            changed = self.store.changed
            for event in self.store.history:
                if event.version <= since or event.key[:2] != (kind.plural, namespace):
                    continue
                since = event.version
                line = _line(event.change, event.obj)
                if self.faults["cut watch"] > 0:
                    self.faults["cut watch"] -= 1
                    await response.write(line[: len(line) // 2])
                    return
                if self.faults["drop watch"] > 0:
                    self.faults["drop watch"] -= 1
                    await response.write(line[: len(line) // 2])
                    assert request.transport is not None
                    request.transport.abort()
                    return
                await response.write(line)
            await changed.wait()

    def _log(self, request: web.Request, key: Key) -> web.Response:
        pod = self.store.get(*key)
        status = pod["status"]["containerStatuses"][0]
        previous = request.query.get("previous") == "true"
        if not previous and "waiting" in status["state"]:
            raise Refused(400, "BadRequest", f"container {status['name']} is waiting to start")
        text = self.controllers.logs.get(image_tag(pod), "")
        return web.Response(text=f"previous: {text}" if previous else text)

    async def _forward(self, request: web.Request, key: Key) -> web.StreamResponse:
        pod = self.store.get(*key)
        self._authorise("create", "pods/portforward", key[1])
        local = await self._service_port(image_tag(pod))
        socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
        await socket.prepare(request)
        port = int(request.query["ports"]).to_bytes(2, "little")
        await socket.send_bytes(b"\x00")  # a channel without content, as some versions begin
        await socket.send_bytes(b"\x00" + port)
        await socket.send_bytes(b"\x01" + port)
        if self.faults["port closed"] > 0:
            self.faults["port closed"] -= 1
            await socket.send_bytes(b"\x01" + b"error forwarding port 8080: connection refused")
            await socket.close()
            return socket
        reader, writer = await asyncio.open_connection("127.0.0.1", local)

        async def answers() -> None:
            with suppress(ConnectionError):
                while chunk := await reader.read(1 << 16):
                    await socket.send_bytes(b"\x00" + chunk)
                await socket.close()

        answering = asyncio.ensure_future(answers())
        try:
            async for message in socket:
                if message.type is WSMsgType.BINARY:
                    writer.write(message.data[1:])
        finally:
            answering.cancel()
            writer.close()
        return socket

    async def _service_port(self, tag: str) -> int:
        if tag not in self._ports:
            service = self.services.setdefault(tag, PodService(tag))
            server = await self._serve(service.application())
            assert server.port is not None
            self._ports[tag] = server.port
        return self._ports[tag]


def _line(change: str, obj: Object) -> bytes:
    return json.dumps({"type": change, "object": obj}).encode() + b"\n"
