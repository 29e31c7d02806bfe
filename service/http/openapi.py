"""`/openapi.json`: the API as a contract has it, from the declarations that route, validate and migrate.

OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1). What an older contract had otherwise comes from its
compiled chains, so the document cannot promise what is not served.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from service.contracts import schemas
from service.contracts.declarations import Answer as Declared
from service.contracts.declarations import JsonSchema, Operation, Parameter
from service.contracts.job_operations import JOB
from service.contracts.messages import Document, Query, Reply
from service.contracts.registry import Chain, Contract, Registry
from service.http.answers import Answer, Ask

Json = dict[str, Any]

SHARED: Mapping[str, JsonSchema] = {
    "Record": schemas.RECORD,
    "Records": schemas.RECORDS,
    "Receipt": schemas.RECEIPT,
    "Page": schemas.PAGE,
    "Groups": schemas.GROUPS,
    "Dataset": schemas.DATASET,
    "ApiKey": schemas.API_KEY,
    "Pin": schemas.PIN,
    "Contract": schemas.CONTRACT,
    "ContractChange": schemas.CONTRACT_CHANGE,
    "Difference": schemas.DIFFERENCE,
    "Job": JOB,
    "Problem": schemas.PROBLEM_DOCUMENT,
}
"""Schemas that stand once in a document and are referred to elsewhere."""

_NAMES = {id(schema): name for name, schema in SHARED.items()}
_TEXT = {"type": "string"}
_FILTERS = (
    "Any other parameter is a filter: `COLUMN=value` or `COLUMN.OP=value`, OP one of eq ne gt gte lt lte in "
    "like ilike null."
)
_CONTRACT_HEADERS: Mapping[str, str] = {
    "API-Version": "The contract of this answer.",
    "API-Version-Source": "What chose it: header, pin or default.",
}
_ENDING_HEADERS: Mapping[str, str] = {
    "Deprecation": "Since when the contract is deprecated (RFC 9745).",
    "Sunset": "Until when it is served (RFC 8594).",
}


class OpenApiResource:
    """The document of the contract that a request resolves to."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._document = lru_cache(maxsize=64)(self._made)

    async def read(self, ask: Ask) -> Answer:
        """Answer with the document."""
        contract = self._registry.newest if ask.resolved is None else ask.resolved.contract
        return Answer(Reply(200, Document(self.document(contract, ask.link_base))))

    def document(self, contract: Contract, link_base: str) -> Json:
        """Return the document of a contract; it is made once."""
        return self._document(contract.date, link_base)

    def _made(self, day: Any, link_base: str) -> Json:
        contract = self._registry.on(day)
        assert contract is not None  # noqa: S101 - the date is a contract's own
        return openapi(self._registry, contract, link_base)


def openapi(registry: Registry, contract: Contract, link_base: str = "") -> Json:
    """Return the OpenAPI document of a contract; `link_base` is the prefix of its paths."""
    paths: Json = {}
    for operation in registry.operations.values():
        chain = registry.chain(operation.id, contract)
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(chain, contract)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Aerolite",
            "version": contract.date.isoformat(),
            "description": contract.description,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": link_base or "/"}],
        "externalDocs": {"description": "The changelog", "url": f"{link_base}/versions"},
        "paths": paths,
        "components": {
            "schemas": {name: _schema(schema, inside=name) for name, schema in SHARED.items()},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key."}},
            "responses": {"Problem": _problem()},
        },
    }


def _operation(chain: Chain, contract: Contract) -> Json:
    operation = chain.operation
    described: Json = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.path.split("/")[1]],
        "parameters": _parameters(chain, contract),
        "responses": _responses(operation, contract),
        # Both: a service may grant a scope to anybody, and a key counts wherever it is sent.
        "security": [{"key": []}] if operation.scope is not None else [{}, {"key": []}],
    }
    notes = _notes(operation)
    if notes:
        described["description"] = notes
    if operation.body:
        content = {media_type: {"schema": _schema(schema)} for media_type, schema in operation.body.items()}
        described["requestBody"] = {"required": operation.body_required, "content": content}
    if operation.bound and contract.deprecated is not None:
        described["deprecated"] = True
    return described


def _notes(operation: Operation) -> str:
    notes = [] if operation.scope is None else [f"Needs the scope `{operation.scope}`."]
    if operation.columns:
        notes.append(_FILTERS)
    notes += [
        f"Parameters that begin with `{prefix}` name a column behind it." for prefix in operation.prefixes
    ]
    return " ".join(notes)


def _parameters(chain: Chain, contract: Contract) -> list[Json]:
    listed = [_parameter(parameter, chain) for parameter in chain.operation.parameters]
    if chain.operation.bound:
        listed.append(
            {
                "name": "API-Version",
                "in": "header",
                "description": "The day you integrated on; any day of this contract means the same.",
                "schema": {"type": "string", "enum": [contract.date.isoformat()]},
            }
        )
    return listed


def _parameter(parameter: Parameter, chain: Chain) -> Json:
    schema = _schema(parameter.schema)
    if parameter.name == "limit" and chain.operation.bound:
        schema = _limit(schema, chain)
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "required": parameter.place == "path",
        "schema": schema,
    }


def _limit(schema: Any, chain: Chain) -> Any:
    """Return the schema of `limit` with the bound and default that the contract's own migration gives it."""
    asked = Query({})
    chain.upgrade(asked)
    if asked.max_limit is None and "oneOf" in schema:
        whole, everything = schema["oneOf"]
        unbounded = {name: value for name, value in whole.items() if name != "maximum"}
        return {"oneOf": [{**unbounded, "maximum": 1 << 53}, everything], "default": "all"}
    return schema


def _responses(operation: Operation, contract: Contract) -> Json:
    found: Json = {
        str(status): _response(answer, operation, contract) for status, answer in operation.answers.items()
    }
    if operation.streamed and operation.bound:
        found["304"] = {"description": "The client has it already (`If-None-Match`)."}
    found["4XX"] = found["5XX"] = {"$ref": "#/components/responses/Problem"}
    return found


def _response(answer: Declared, operation: Operation, contract: Contract) -> Json:
    headers = dict(answer.headers)
    if operation.bound:
        headers |= _CONTRACT_HEADERS
        if contract.deprecated is not None:
            headers |= _ENDING_HEADERS
    response: Json = {"description": answer.description}
    if headers:
        response["headers"] = {
            name: {"description": description, "schema": _TEXT} for name, description in headers.items()
        }
    if answer.content:
        response["content"] = {
            media_type: {"schema": _schema(schema)} for media_type, schema in answer.content.items()
        }
    return response


def _problem() -> Json:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": "What is wrong and what to do (RFC 9457).",
        "headers": {"X-Request-Id": {"description": "Also in `instance`.", "schema": _TEXT}},
        "content": {schemas.PROBLEM: {"schema": schema}},
    }


def _schema(value: Any, inside: str | None = None) -> Any:
    """Return a schema with what is shared replaced by references; `inside` is the one being written out."""
    name = _NAMES.get(id(value))
    if name is not None and name != inside:
        return {"$ref": f"#/components/schemas/{name}"}
    if isinstance(value, Mapping):
        return {key: _schema(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_schema(part) for part in value]
    return value
