"""The operations of jobs, as the newest contract has them."""

from __future__ import annotations

from service.contracts.declarations import Answer, Operation, Parameter
from service.contracts.schemas import COUNT, CSV, JSON, NDJSON, NULLABLE_STRING, PARQUET, entity

EVENT_STREAM = "text/event-stream"

_STATES = ["queued", "running", "succeeded", "failed", "cancelled"]
_ID = Parameter("id", "The job's id.", place="path")
_INDEX = entity("A number wanted.", {"index": {"type": "integer", "minimum": 0, "maximum": 1_000_000}})

JOB = entity(
    "A job.",
    {
        "id": {"type": "string"},
        "type": {"type": "string"},
        "state": {"enum": _STATES},
        "progress": {"type": "number", "minimum": 0, "maximum": 1},
        "created": {"type": "string"},
        "started": NULLABLE_STRING,
        "finished": NULLABLE_STRING,
        "result": {"type": ["object", "null"]},
        "error": {"type": ["object", "null"]},
    },
    {"attempt": COUNT, "params": {"type": "object"}},
)

ACCEPTED = {202: Answer("A job was accepted.", {JSON: JOB}, {"Location": "Where the job is."})}

JOB_OPERATIONS = (
    Operation(
        "jobs.list", "GET", "/jobs", "List jobs, the newest first.", scope="read",
        parameters=(
            Parameter("state", "Only jobs in this state.", {"enum": _STATES}),
            Parameter("type", "Only jobs of this type."),
            Parameter("after", "The cursor of `next`: the jobs behind it."),
            Parameter(
                "limit", "How many at most.",
                {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
            ),
        ),
        answers={200: Answer("Jobs; a filtered page may be short and still go on.", {
            JSON: entity("Jobs.", {"jobs": {"type": "array", "items": JOB}, "next": NULLABLE_STRING}),
        })},
    ),
    Operation(
        "jobs.create", "POST", "/jobs", "Start a job.", scope="write",
        body={JSON: entity("A job wanted.", {"type": {"type": "string"}}, {
            "params": {"type": "object"},
            "timeout": {"type": "number", "minimum": 1, "description": "Seconds until it must be done."},
        })},
        answers=ACCEPTED,
    ),
    Operation(
        "job.read", "GET", "/jobs/{id}", "Tell of a job.", scope="read",
        parameters=(_ID,), answers={200: Answer("The job.", {JSON: JOB})},
    ),
    Operation(
        "job.events", "GET", "/jobs/{id}/events", "Follow a job by server-sent events.", scope="read",
        parameters=(_ID, Parameter("Last-Event-ID", "The last event that was seen.", place="header")),
        answers={
            200: Answer("A job for each of its states.", {EVENT_STREAM: JOB}),
            204: Answer("It has finished, and the last event was seen."),
        },
    ),
    Operation(
        "job.result", "GET", "/jobs/{id}/result", "Fetch the file that an export has made.", scope="read",
        parameters=(_ID,), answers={200: Answer("The file.", {JSON: {}, NDJSON: {}, CSV: {}, PARQUET: {}})},
    ),
    Operation(
        "job.cancel", "DELETE", "/jobs/{id}", "Cancel a job.", scope="write", parameters=(_ID,),
        answers={
            200: Answer("It has ended.", {JSON: JOB}),
            202: Answer("Its worker has been told.", {JSON: JOB}),
        },
    ),
    Operation(
        "fibonacci.read", "GET", "/fibonacci", "Tell which Fibonacci numbers were asked for and are known.",
        scope="read",
        answers={200: Answer("Both ascending; a number that is not computed yet is only seen.", {
            JSON: entity("Fibonacci numbers.", {
                "seen": {"type": "array", "items": COUNT},
                "values": {"type": "object", "additionalProperties": {"type": "string"}},
            }),
        })},
    ),
    Operation(
        "fibonacci.create", "POST", "/fibonacci", "Ask for a Fibonacci number.", scope="write",
        body={JSON: _INDEX}, answers=ACCEPTED,
    ),
)  # fmt: skip
