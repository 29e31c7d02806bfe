"""The OpenAPI document of each contract: valid, true, and shown as a page."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from service.contracts import registered
from service.contracts.schemas import PROBLEM
from service.http.openapi_document import openapi

from .conftest import TODAY, Api, MakeApi
from .registries import ending
from .test_versions import BROWSER, Page

CONTRACTS = [each.date.isoformat() for each in registered().contracts if each.date <= TODAY.date()]
FIRST, SECOND, NEWEST, *_ = CONTRACTS


async def document_of(api: Api, contract: str) -> dict[str, Any]:
    """Return the document that a contract's client gets."""
    async with api.get("/openapi.json", headers={"API-Version": contract}) as answer:
        assert (answer.status, answer.headers["API-Version"]) == (200, contract)
        document: dict[str, Any] = await answer.json()
        return document


@pytest.mark.parametrize("contract", CONTRACTS)
async def test_the_document_is_valid(api: Api, contract: str) -> None:
    """It holds to the specification, and names its contract."""
    document = await document_of(api, contract)
    OpenAPIV31SpecValidator(document).validate()
    assert document["info"]["version"] == contract


async def test_it_has_every_operation_of_every_contract(api: Api) -> None:
    """Additions break nobody, so each contract has all paths; each has an id, answers and a problem."""
    wanted = {(each.path, each.method.lower()) for each in registered().operations.values()}
    for contract in CONTRACTS:
        paths = (await document_of(api, contract))["paths"]
        assert {(path, method) for path, methods in paths.items() for method in methods} == wanted
        for methods in paths.values():
            for operation in methods.values():
                assert operation["responses"]["4XX"] == {"$ref": "#/components/responses/Problem"}


async def test_each_contract_is_told_as_it_was(api: Api) -> None:
    """Parameters, bounds, statuses and shapes are those of the day."""
    reads, loads = {}, {}
    for contract in CONTRACTS:
        paths = (await document_of(api, contract))["paths"]
        reads[contract], loads[contract] = paths["/data"]["get"], paths["/data"]["post"]
    limits = {
        contract: next((each["schema"] for each in read["parameters"] if each["name"] == "limit"), None)
        for contract, read in reads.items()
    }
    assert limits[FIRST] is None
    assert limits[SECOND]["default"] == "all"
    assert (limits[NEWEST]["default"], limits[NEWEST]["oneOf"][0]["maximum"]) == (100, 10_000)
    shapes = {
        contract: read["responses"]["200"]["content"]["application/json"]["schema"]
        for contract, read in reads.items()
    }
    records, page = {"$ref": "#/components/schemas/Records"}, {"$ref": "#/components/schemas/Page"}
    assert shapes == {FIRST: records, SECOND: records, NEWEST: page}
    assert "X-Total-Count" in reads[SECOND]["responses"]["200"]["headers"]
    assert "X-Total-Count" not in reads[NEWEST]["responses"]["200"]["headers"]
    assert list(loads[FIRST]["responses"]["200"]["content"]) == ["text/plain"]
    assert "201" not in loads[FIRST]["responses"]
    assert "Location" in loads[NEWEST]["responses"]["201"]["headers"]


def test_a_deprecated_contract_says_so() -> None:
    """Its operations are marked, and its answers announce the end."""
    registry = ending()
    document = openapi(registry, registry.first)
    OpenAPIV31SpecValidator(document).validate()
    read = document["paths"]["/data"]["get"]
    assert read["deprecated"] is True
    assert {"Deprecation", "Sunset"} <= read["responses"]["200"]["headers"].keys()
    assert "deprecated" not in document["paths"]["/versions"]["get"]


async def test_scopes_and_keys_are_told(api: Api) -> None:
    """What needs a scope names it; errors are problem documents."""
    document = await document_of(api, NEWEST)
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert document["paths"]["/keys"]["get"]["security"] == [{"key": []}]
    assert document["paths"]["/favorite"]["get"]["security"] == [{}, {"key": []}]
    assert list(document["components"]["responses"]["Problem"]["content"]) == [PROBLEM]


async def test_links_carry_the_prefix(make_api: MakeApi) -> None:
    """Behind an ingress the server's URL is the prefix."""
    api = await make_api(BASE_PATH="/api")
    for prefix, server in (("", "/"), ("/api", "/api")):
        async with api.get(f"{prefix}/openapi.json") as answer:
            assert (await answer.json())["servers"] == [{"url": server}]


@pytest.mark.parametrize("contract", CONTRACTS)
async def test_the_docs_show_every_operation(loaded: Api, contract: str) -> None:
    """The page works offline: nothing is loaded from anywhere, and every link leads somewhere."""
    async with loaded.get(f"/docs?version={contract}", headers=BROWSER) as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        text = await answer.text()
    page = Page(text)
    assert page.loads == []
    assert "script" not in page.tags
    for operation in registered().operations.values():
        assert f'id="{operation.id}"' in text
    assert f"API-Version: {contract}" in " ".join(page.words)
    for target in page.links:
        if target.startswith("#"):
            assert f'id="{target[1:]}"' in text
            continue
        async with loaded.get(target) as answer:
            assert answer.status == 200, target


async def test_docs_of_no_contract_are_refused(api: Api) -> None:
    """The valid days are listed."""
    for version in ("2000-01-01", "x", "<script>"):
        async with api.get("/docs", params={"version": version}) as answer:
            problem = await answer.json(content_type="application/problem+json")
            every = [each.date.isoformat() for each in registered().contracts]
            assert (answer.status, problem["valid"]) == (400, every)


async def test_no_documented_word_becomes_markup(api: Api) -> None:
    """Braces, quotes and angle brackets of schemas are escaped."""
    async with api.get("/docs") as answer:
        text = await answer.text()
    assert json.dumps({"type": "string"}) not in text
    assert "{&quot;type&quot;: &quot;string&quot;}" in text
