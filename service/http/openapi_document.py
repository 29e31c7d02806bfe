"""The OpenAPI document of a contract, from the declarations that route, validate and migrate.

OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1). What an older contract had otherwise comes from its
compiled chains, so the document cannot promise what is not served. Datasets that are told of get paths of
their own, which tools prefer to `/datasets/{name}/records`, and schemas of their own: `Record.NAME`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from service.contracts import schemas
from service.contracts.declarations import Answer as Declared
from service.contracts.declarations import JsonSchema, Operation, Parameter
from service.contracts.job_operations import JOB
from service.contracts.messages import Query
from service.contracts.registry import Chain, Contract, Registry
from service.domain.datasets import DATA
from service.http.answers import DATASET_VERSION
from service.http.openapi_columns import Described, filters, record_schema

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

Names = Mapping[int, str]
"""What a schema of the declarations is called in the document, by its `id`."""

_NAMES: Names = {id(schema): name for name, schema in SHARED.items()}
_BY_DATASET = ("/datasets/{name}/records", "/datasets/{name}/records/{key}")
"""Paths that a dataset gets for itself."""

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


def openapi(
    registry: Registry,
    contract: Contract,
    link_base: str = "",
    datasets: Sequence[Described] = (),
    left_out: int = 0,
) -> Json:
    """Return the OpenAPI document of a contract; `link_base` is the prefix of its paths.

    `datasets` are those whose columns it tells, `left_out` says how many more there are.
    """
    paths: Json = {}
    shapes = {name: _schema(schema, _NAMES, inside=name) for name, schema in SHARED.items()}
    for operation in registry.operations.values():
        chain = registry.chain(operation.id, contract)
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(chain, contract)
    for dataset in datasets:
        for path, method, described in _own_operations(registry, contract, dataset):
            paths.setdefault(path, {})[method] = described
        shapes |= _own_schemas(registry, contract, dataset)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Aerolite",
            "version": contract.date.isoformat(),
            "description": contract.description + _told_of(left_out),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": link_base or "/"}],
        "externalDocs": {"description": "The changelog", "url": f"{link_base}/versions"},
        "paths": paths,
        "components": {
            "schemas": shapes,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key."}},
            "responses": {"Problem": _problem()},
        },
    }


def _told_of(left_out: int) -> str:
    if not left_out:
        return ""
    return (
        f" The columns of {left_out} datasets are left out, for they are too many: ask for those of one by "
        "`dataset=NAME`, or see `GET /datasets/NAME`."
    )


def _own_operations(
    registry: Registry, contract: Contract, dataset: Described
) -> Iterator[tuple[str, str, Json]]:
    """Yield path, method and description of what can be asked of one dataset by its name."""
    for operation in registry.operations.values():
        chain = registry.chain(operation.id, contract)
        if operation.path in _BY_DATASET:
            # What a contract's lenses show has no schema here: the general one holds.
            described = _operation(chain, contract, None if chain.lenses else dataset)
            described["operationId"] += f".{dataset.name}"
            described["parameters"] = [one for one in described["parameters"] if not _names_dataset(one)]
            yield operation.path.replace("{name}", dataset.name), operation.method.lower(), described
        elif operation.id == "data.read" and dataset.name == DATA and not chain.lenses:
            yield operation.path, operation.method.lower(), _operation(chain, contract, dataset)


def _names_dataset(parameter: Json) -> bool:
    return (parameter["in"], parameter["name"]) == ("path", "name")


def _own_names(dataset: Described, *, typed: bool) -> Names:
    record, records = ("Record", "Records") if typed else ("LoadedRecord", "LoadedRecords")
    return {
        **_NAMES,
        id(schemas.RECORD): f"{record}.{dataset.name}",
        id(schemas.RECORDS): f"{records}.{dataset.name}",
        id(schemas.PAGE): f"Page.{dataset.name}",
    }


def _own_schemas(registry: Registry, contract: Contract, dataset: Described) -> Json:
    """Return a dataset's schemas by name: its typed records and, where `/data` has them, those as loaded."""
    found = _shapes(dataset, (schemas.RECORDS, schemas.PAGE), typed=True)
    if dataset.name == DATA and not registry.chain("data.read", contract).typed:
        found |= _shapes(dataset, (schemas.RECORDS,), typed=False)
    return found


def _shapes(dataset: Described, around: Sequence[JsonSchema], *, typed: bool) -> Json:
    names = _own_names(dataset, typed=typed)
    found = {names[id(schemas.RECORD)]: record_schema(dataset, typed=typed)}
    for schema in around:
        name = names[id(schema)]
        found[name] = _schema(schema, names, inside=name)
    return found


def _operation(chain: Chain, contract: Contract, dataset: Described | None = None) -> Json:
    """Return the description of an operation, on any dataset or on this one."""
    operation = chain.operation
    names = _NAMES if dataset is None else _own_names(dataset, typed=chain.typed)
    described: Json = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.path.split("/")[1]],
        "parameters": _parameters(chain, contract, dataset),
        "responses": _responses(operation, contract, names),
        # Both: a service may grant a scope to anybody, and a key counts wherever it is sent.
        "security": [{"key": []}] if operation.scope is not None else [{}, {"key": []}],
    }
    notes = _notes(operation)
    if notes:
        described["description"] = notes
    if operation.body:
        content = {
            media_type: {"schema": _schema(schema, names)} for media_type, schema in operation.body.items()
        }
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


def _parameters(chain: Chain, contract: Contract, dataset: Described | None) -> list[Json]:
    listed = [_parameter(parameter, chain) for parameter in chain.operation.parameters]
    if dataset is not None and chain.operation.columns:
        listed += filters(dataset.columns, chain.operation.query)
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
    schema = _schema(parameter.schema, _NAMES)
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


def _responses(operation: Operation, contract: Contract, names: Names) -> Json:
    found: Json = {
        str(status): _response(answer, operation, contract, names)
        for status, answer in operation.answers.items()
    }
    if operation.viewed and operation.method == "GET":
        found["304"] = {"description": "The client has it already (`If-None-Match`)."}
    found["4XX"] = found["5XX"] = {"$ref": "#/components/responses/Problem"}
    return found


def _response(answer: Declared, operation: Operation, contract: Contract, names: Names) -> Json:
    headers = dict(answer.headers)
    if operation.viewed:
        headers[DATASET_VERSION] = "The day of the last change of the columns that is seen, if there is one."
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
            media_type: {"schema": _schema(schema, names)} for media_type, schema in answer.content.items()
        }
    return response


def _problem() -> Json:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": "What is wrong and what to do (RFC 9457).",
        "headers": {"X-Request-Id": {"description": "Also in `instance`.", "schema": _TEXT}},
        "content": {schemas.PROBLEM: {"schema": schema}},
    }


def _schema(value: Any, names: Names, inside: str | None = None) -> Any:
    """Return a schema in which what has a name is a reference; `inside` is the one being written out."""
    name = names.get(id(value))
    if name is not None and name != inside:
        return {"$ref": f"#/components/schemas/{name}"}
    if isinstance(value, Mapping):
        return {key: _schema(part, names) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_schema(part, names) for part in value]
    return value
