"""`/docs`: the OpenAPI document of a contract as a page, made here, so it works without any other server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any
from urllib.parse import quote

from service.contracts.registry import Contract, Registry
from service.domain.dates import parse_version
from service.domain.errors import InvalidParameter, VersionMalformed
from service.http.answers import Answer, Ask
from service.http.html import link, page, prose, tag
from service.http.openapi import OpenApiResource
from service.ports.clock import Clock


class DocsResource:
    """What can be asked, for people."""

    def __init__(self, registry: Registry, openapi: OpenApiResource, clock: Clock) -> None:
        self._registry = registry
        self._openapi = openapi
        self._clock = clock

    async def read(self, ask: Ask) -> Answer:
        """Show every operation, as the contract that `version` names has it (without: the newest)."""
        contract = self._contract(ask.query.parameters.get("version"))
        document = self._openapi.document(contract, ask.link_base)
        state = self._registry.state(contract, self._clock.now())
        others = [each.date.isoformat() for each in self._registry.contracts]
        return page(f"Aerolite {contract.date}", "\n".join(_body(document, state, others, ask.link_base)))

    def _contract(self, version: str | None) -> Contract:
        if version is None:
            return self._registry.newest
        try:
            contract = self._registry.on(parse_version(version))
        except VersionMalformed:
            contract = None
        if contract is None:
            valid = [each.date.isoformat() for each in self._registry.contracts]
            raise InvalidParameter("version", "`version` is a day with a contract.", valid=valid)
        return contract


def _body(document: Mapping[str, Any], state: str, versions: list[str], link_base: str) -> Iterator[str]:
    version = document["info"]["version"]
    yield f"<h1>Aerolite {tag(state)}</h1>"
    yield f"<p>{prose(document['info']['description'])}</p>"
    yield "<nav>Contract " + " ".join(_version(each, version, link_base) for each in versions) + "</nav>"
    changelog, raw = (
        link(f"{link_base}/versions", "What changed when"),
        _curl("GET", "/openapi.json", version),
    )
    yield f"<p>{changelog}. For machines: <code>{escape(raw)}</code></p>"
    for name, operations in _by_tag(document).items():
        yield f'<h2 id="{escape(name)}">{escape(name)}</h2>'
        for method, path, operation in operations:
            yield from _operation(method, path, operation, version)
    yield "<h2>Shapes</h2>"
    for name, schema in document["components"]["schemas"].items():
        yield f'<details id="{escape(name)}"><summary><code>{escape(name)}</code> '
        yield f"{prose(schema.get('description', ''))}</summary>{_json(schema)}</details>"


def _version(each: str, shown: str, link_base: str) -> str:
    return (
        f"<strong>{escape(each)}</strong>"
        if each == shown
        else link(f"{link_base}/docs?version={each}", each)
    )


def _by_tag(document: Mapping[str, Any]) -> dict[str, list[tuple[str, str, Any]]]:
    found: dict[str, list[tuple[str, str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    return found


def _operation(method: str, path: str, operation: Mapping[str, Any], version: str) -> Iterator[str]:
    label = f"<code>{escape(method)} {escape(path)}</code> {prose(operation['summary'])}"
    yield f'<details id="{escape(operation["operationId"])}"><summary>{label}</summary>'
    yield f"<p>{prose(operation.get('description', ''))}</p>"
    yield f"<pre><code>{escape(_curl(method, path, version))}</code></pre>"
    if operation["parameters"]:
        yield "<table><tr><th>parameter</th><th>in</th><th>what</th><th>values</th></tr>"
        yield from map(_parameter, operation["parameters"])
        yield "</table>"
    for media_type, body in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body <code>{escape(media_type)}</code></p>{_json(body['schema'])}"
    for status, response in operation["responses"].items():
        if "$ref" in response:
            continue
        yield f"<p><strong>{escape(status)}</strong> {prose(response['description'])}</p>"
        for media_type, body in response.get("content", {}).items():
            yield f"<p><code>{escape(media_type)}</code></p>{_json(body['schema'])}"
    yield "</details>"


def _parameter(parameter: Mapping[str, Any]) -> str:
    cells = (
        f"<code>{escape(parameter['name'])}</code>",
        escape(parameter["in"]),
        prose(parameter["description"]),
        f"<code>{escape(json.dumps(parameter['schema']))}</code>",
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _json(schema: Any) -> str:
    """Return a schema as it is, or as a link to the shape that it refers to."""
    if isinstance(schema, Mapping) and set(schema) == {"$ref"}:
        name = schema["$ref"].rpartition("/")[2]
        return f"<p>{link('#' + quote(name), name)}</p>"
    return f"<pre><code>{escape(json.dumps(schema, indent=2))}</code></pre>" if schema else ""


def _curl(method: str, path: str, version: str) -> str:
    verb = "" if method == "GET" else f" -X {method}"
    return f"curl{verb} -H 'API-Version: {version}' 'http://localhost:8080{path}'"
