"""Every operation as the newest contract has it. Routing, validation, migration and OpenAPI read this."""

from __future__ import annotations

from service.contracts.declarations import Answer, Operation
from service.contracts.job_operations import ACCEPTED, JOB_OPERATIONS
from service.contracts.schemas import (
    API_KEY,
    CHANGE,
    CHANGE_MEMBERS,
    CONTRACT,
    COUNT,
    CSV,
    DATABASE,
    DATASET,
    DELIMITER,
    DIFFERENCE,
    DRY_RUN,
    FACET,
    FROM,
    GROUPING,
    GROUPS,
    HTML,
    JSON,
    KEY,
    KEY_ID,
    LISTING,
    NAME,
    NDJSON,
    NULLABLE_STRING,
    ON_CONFLICT,
    ON_ERROR,
    PAGE,
    PARQUET,
    PIN,
    QUERY,
    QUERYING,
    READING,
    RECEIPT,
    RECORD,
    RECORD_KEY,
    RECORDS,
    RESULT,
    ROWS_FORMAT,
    SCOPE,
    TEXT,
    TO,
    TOLD,
    UPLOAD,
    USAGE,
    VERSION,
    WIDEN,
    entity,
)

MERGE_PATCH = "application/merge-patch+json"

_PAGE = {200: Answer("A page.", {JSON: PAGE, NDJSON: RECORD, CSV: {"type": "string"}, PARQUET: {}})}
_RECEIPT = {200: Answer("Done.", {JSON: RECEIPT})}
_LOADED = {201: Answer("Loaded.", {JSON: RECEIPT}, {"Location": "Where it is."}), **ACCEPTED}
_KEY = {200: Answer("The key.", {JSON: API_KEY})}
_RECORD = {200: Answer("The record.", {JSON: RECORD})}
_LOADING = (KEY, DELIMITER, ON_ERROR)
_TYPED = ("type.",)
_APPENDING = (DELIMITER, ON_ERROR, ON_CONFLICT, WIDEN)

OPERATIONS = (
    Operation(
        "data.read", "GET", "/data", "Read the records of `data`.",
        scope="read", parameters=READING, answers=_PAGE, streamed=True, columns=True, viewed=True,
    ),
    Operation(
        "data.load", "POST", "/data", "Replace `data` by a file, or without a body by the built-in sample.",
        scope="write", parameters=_LOADING, prefixes=_TYPED, body=UPLOAD, body_required=False,
        answers=_LOADED,
    ),
    Operation("data.delete", "DELETE", "/data", "Empty `data`.", scope="write", answers=_RECEIPT),
    Operation(
        "datasets.list", "GET", "/datasets", "List the datasets.",
        scope="read",
        answers={200: Answer("All datasets.", {JSON: entity("Datasets.", {
            "datasets": {"type": "array", "items": DATASET},
        })})},
    ),
    Operation(
        "dataset.read", "GET", "/datasets/{name}", "Describe a dataset.",
        scope="read", parameters=(NAME,), answers={200: Answer("The dataset.", {JSON: DATASET})},
        viewed=True,
    ),
    Operation(
        "dataset.load", "PUT", "/datasets/{name}", "Create or replace a dataset by a file.",
        scope="write", parameters=(NAME, *_LOADING), prefixes=_TYPED, body=UPLOAD,
        answers={**_LOADED, **_RECEIPT},
    ),
    Operation(
        "dataset.patch", "PATCH", "/datasets/{name}", "Change a dataset's title.",
        scope="write", parameters=(NAME,), body={MERGE_PATCH: entity("What changes.", {}, {
            "title": {"type": ["string", "null"], "maxLength": 1000},
        })},
        answers={200: Answer("The dataset.", {JSON: DATASET})}, viewed=True,
    ),
    Operation(
        "dataset.delete", "DELETE", "/datasets/{name}", "Delete a dataset.",
        scope="write", parameters=(NAME,), answers=_RECEIPT,
    ),
    Operation(
        "records.read", "GET", "/datasets/{name}/records", "Read records.",
        scope="read", parameters=(NAME, *READING, FACET), answers=_PAGE, streamed=True, columns=True,
        viewed=True,
    ),
    Operation(
        "records.aggregate", "GET", "/datasets/{name}/aggregate", "Count and compute by groups.",
        scope="read", parameters=(NAME, *GROUPING), streamed=True, columns=True, viewed=True,
        answers={200: Answer("Groups.", {JSON: GROUPS, NDJSON: RECORD, CSV: {"type": "string"}})},
    ),
    Operation(
        "records.append", "POST", "/datasets/{name}/records", "Append one record or many.",
        scope="write", parameters=(NAME, *_APPENDING), body={**UPLOAD, JSON: {"anyOf": [RECORD, RECORDS]}},
        answers=_LOADED,
    ),
    Operation(
        "record.read", "GET", "/datasets/{name}/records/{key}", "Read one record.",
        scope="read", parameters=(NAME, RECORD_KEY), answers=_RECORD, viewed=True,
    ),
    Operation(
        "record.put", "PUT", "/datasets/{name}/records/{key}", "Replace one record.",
        scope="write", parameters=(NAME, RECORD_KEY, WIDEN), body={JSON: RECORD},
        answers={**_RECORD, 201: Answer("Created.", {JSON: RECORD}, {"Location": "Where it is."})},
        viewed=True,
    ),
    Operation(
        "record.patch", "PATCH", "/datasets/{name}/records/{key}", "Change one record (RFC 7396).",
        scope="write", parameters=(NAME, RECORD_KEY, WIDEN), body={MERGE_PATCH: RECORD}, answers=_RECORD,
        viewed=True,
    ),
    Operation(
        "record.delete", "DELETE", "/datasets/{name}/records/{key}", "Delete one record.",
        scope="write", parameters=(NAME, RECORD_KEY), answers=_RECEIPT,
    ),
    Operation(
        "changes.list", "GET", "/datasets/{name}/changes", "List the changes of a dataset's columns.",
        scope="read", parameters=(NAME,),
        answers={200: Answer("All changes, oldest first.", {JSON: entity("Changes.", {
            "dataset": {"type": "string"}, "changes": {"type": "array", "items": CHANGE},
        })})},
    ),
    Operation(
        "changes.declare", "POST", "/datasets/{name}/changes", "Change a dataset's columns from a day on.",
        scope="write", parameters=(NAME, DRY_RUN), body={JSON: CHANGE},
        answers={
            200: Answer("What would be.", {JSON: entity("Old and new side by side.", {
                "dataset": {"type": "string"}, **CHANGE_MEMBERS,
                "columns": {"type": "object"}, "rows": {"type": "array", "items": {"type": "object"}},
            })}),
            201: Answer(
                "Declared.",
                {JSON: entity("The change.", {
                    "dataset": {"type": "string"}, "revision": COUNT, **CHANGE_MEMBERS,
                })},
                {"Location": "Where the changes are."},
            ),
        },
    ),
    Operation(
        "query.read", "GET", "/query", "Tell what SQL can ask, and which names are others there.",
        scope="sql:read", parameters=(DATABASE,), answers={200: Answer("What there is.", {JSON: QUERYING})},
    ),
    Operation(
        "query.run", "POST", "/query", "Run an SQL statement; to write takes the scope `sql:write`.",
        scope="sql:read", parameters=(DATABASE, ROWS_FORMAT), body=QUERY,
        answers={200: Answer(
            "The rows of a statement that has any; `OK` for any other.",
            {JSON: RESULT, NDJSON: RECORD, CSV: {"type": "string"}, TEXT: {"const": "OK"}},
            {"Truncated": "`true` where there were more rows than the bounds let through."},
        )},
    ),
    Operation(
        "favorite.read", "GET", "/favorite", "Name the favorite athlete.",
        answers={200: Answer("The athlete.", {JSON: entity("A favorite.", {"athlete": {"type": "string"}})})},
    ),
    Operation(
        "keys.list", "GET", "/keys", "List the API keys.", scope="admin", bound=False, parameters=LISTING,
        answers={200: Answer("Keys.", {JSON: entity("Keys.", {
            "keys": {"type": "array", "items": API_KEY}, "next": NULLABLE_STRING,
        })})},
    ),
    Operation(
        "keys.create", "POST", "/keys", "Make an API key.", scope="admin", bound=False,
        body={JSON: entity("A key wanted.", {
            "name": {"type": "string", "minLength": 1, "maxLength": 200},
            "scopes": {"type": "array", "items": SCOPE},
        })},
        answers={201: Answer("The key, this once.", {JSON: API_KEY}, {"Location": "Where it is."})},
    ),
    Operation("keys.self", "GET", "/keys/self", "Tell who I am.", bound=False, answers=_KEY),
    Operation(
        "keys.self.pin", "POST", "/keys/self/pin", "Move my pin.",
        bound=False, body={JSON: PIN}, answers=_KEY,
    ),
    Operation(
        "key.read", "GET", "/keys/{id}", "Tell of a key.",
        scope="admin", bound=False, parameters=(KEY_ID,), answers=_KEY,
    ),
    Operation(
        "key.revoke", "DELETE", "/keys/{id}", "Revoke a key.",
        scope="admin", bound=False, parameters=(KEY_ID,), answers={204: Answer("Revoked.")},
    ),
    Operation(
        "key.pin", "POST", "/keys/{id}/pin", "Set a key's pin.",
        scope="admin", bound=False, parameters=(KEY_ID,), body={JSON: PIN}, answers=_KEY,
    ),
    Operation(
        "openapi.read", "GET", "/openapi.json", "Describe the API as the contract has it (OpenAPI 3.1).",
        parameters=(TOLD,),
        answers={
            200: Answer("The document; the datasets' columns stand in it for those who may read them.", {
                JSON: entity("OpenAPI.", {
                    "openapi": {"type": "string"}, "info": {"type": "object"}, "paths": {"type": "object"},
                }),
            }),
            304: Answer("The client has it already (`If-None-Match`)."),
        },
    ),
    Operation(
        "docs.read", "GET", "/docs", "Show the API to people.", bound=False, parameters=(VERSION,),
        answers={200: Answer("The page.", {HTML: {"type": "string"}})},
    ),
    Operation(
        "versions.list", "GET", "/versions", "List the contracts.", bound=False,
        answers={200: Answer("All contracts.", {JSON: entity("Contracts.", {
            "versions": {"type": "array", "items": CONTRACT},
        }), HTML: {"type": "string"}})},
    ),
    Operation(
        "versions.usage", "GET", "/versions/usage", "Tell who uses which contract, and which can end today.",
        scope="admin", bound=False, answers={200: Answer("The usage.", {JSON: USAGE})},
    ),
    Operation(
        "versions.compare", "GET", "/versions/{from}...{to}", "Tell what differs between two contracts.",
        bound=False, parameters=(FROM, TO),
        answers={200: Answer("The difference.", {JSON: DIFFERENCE, HTML: {"type": "string"}})},
    ),
    *JOB_OPERATIONS,
)  # fmt: skip
