"""Batches described for machines."""

from typing import Any

from fradect.jobs import MOST_ITEM_BYTES, MOST_ITEMS
from serving.batch_body import BatchRequest
from serving.batch_schemas import JobOut, JobsOut, UploadOut
from serving.batch_uploads import KINDS
from serving.batch_work import DecidedRow, RejectedRow
from serving.openapi_parts import BODY_PROBLEMS, answer, answers, json_of

BATCH_TYPES = (BatchRequest, JobOut, JobsOut, UploadOut, DecidedRow, RejectedRow)

_AWAY = {503: "The database of batches does not answer; try again"}
_NO_JOB = {404: "No such job", **_AWAY}
_JOB = {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string"}}
_UPLOAD = {**_JOB, "name": "upload_id"}
_ROOT = "/api/v1/batch"
_ONE = f"{_ROOT}/jobs/{{job_id}}"
_FULL = "More jobs wait, or more uploads are kept, than the tenant may have"
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Names this batch. The same again gets the same job, another under the same key is refused.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
_BOUGHT = {"transaction_id": "tx_1001", "amount": 15000, "currency": "RUB", "customer_id": "cust_123"}
_EXAMPLE = {"items": [{"type": "transaction", "data": _BOUGHT}, {"transaction": {**_BOUGHT, "transaction_id": "tx_2"}}]}
_LOCATION = {"description": "Where to look for the job", "schema": {"type": "string"}}


EITHER = [
    {"required": ["items"], "properties": {"items": {"type": "array"}, "upload_id": {"type": "null"}}},
    {"required": ["upload_id"], "properties": {"upload_id": {"type": "string"}, "items": {"type": "null"}}},
]
"""What of a batch its fields alone do not say: items or a file."""


def _accepted(what: str) -> dict[str, Any]:
    told = answer(what, json_of("JobOut"))
    return {"202": {**told, "headers": {**told["headers"], "Location": _LOCATION}}}


LATER = _accepted("With `options.async`: it is decided in the background, as a job of one row; webhooks tell of it")
"""What scoring can answer too."""


def batch_paths() -> dict[str, Any]:
    return {
        f"{_ROOT}/score": {"post": _score()},
        f"{_ROOT}/uploads": {"post": _upload()},
        f"{_ROOT}/uploads/{{upload_id}}": {"delete": _drop()},
        f"{_ROOT}/jobs": {"get": _list()},
        _ONE: {"get": _show(), "delete": _cancel("deleteBatch")},
        f"{_ONE}/cancel": {"post": _cancel("cancelBatch")},
        f"{_ONE}/result": {"get": _result()},
    }


def _score() -> dict[str, Any]:
    body = {"application/json": {**json_of("BatchRequest")["application/json"], "example": _EXAMPLE}}
    problems = {
        **BODY_PROBLEMS,
        **_AWAY,
        404: "No such upload",
        413: f"The body is larger than {MOST_ITEM_BYTES} bytes",
        422: "A value is not valid, or the Idempotency-Key or the upload was used for another batch",
        429: _FULL,
    }
    return {
        "operationId": "scoreBatch",
        "summary": f"Decide up to {MOST_ITEMS} items, or a file that was sent, in the background.",
        "parameters": [_KEY],
        "requestBody": {"required": True, "content": body},
        "responses": {**_accepted("The job"), **_without_200(answers("", None, problems))},
    }


def _without_200(known: dict[str, Any]) -> dict[str, Any]:
    return {status: told for status, told in known.items() if status != "200"}


def _upload() -> dict[str, Any]:
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in KINDS}
    problems = {
        **BODY_PROBLEMS,
        **_AWAY,
        400: "The connection ended before the file did",
        409: "It took so long that it was given up",
        413: "The file is too large, or has too many rows",
        415: "None of these media types, or compressed",
        422: "The file is not what it says it is, or its columns are no paths of a request",
        429: _FULL,
    }
    return {
        "operationId": "uploadBatch",
        "summary": "Send a file, of which a job is made next. It is kept encrypted until that is done, or for a day.",
        "requestBody": {"required": True, "content": content},
        "responses": answers("The upload", "UploadOut", problems, 201),
    }


def _drop() -> dict[str, Any]:
    return {
        "operationId": "deleteUpload",
        "summary": "Delete a file that no job has.",
        "parameters": [_UPLOAD],
        "responses": answers("Deleted", None, {404: "No such upload", 409: "A job has it", **_AWAY}, 204),
    }


def _list() -> dict[str, Any]:
    limit = {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
    return {
        "operationId": "listBatches",
        "summary": "Jobs, the newest first.",
        "parameters": [
            {"name": "limit", "in": "query", "required": False, "schema": limit},
            {"name": "before", "in": "query", "required": False, "schema": {"type": "string"}},
        ],
        "responses": answers("Some of them", "JobsOut", {422: "A parameter is not valid", **_AWAY}),
    }


def _show() -> dict[str, Any]:
    return {
        "operationId": "showBatch",
        "summary": "How far a job is, and until when it is done at the speed it has.",
        "parameters": [_JOB],
        "responses": answers("The job", "JobOut", _NO_JOB),
    }


def _cancel(operation: str) -> dict[str, Any]:
    return {
        "operationId": operation,
        "summary": "Decide nothing more of it. What was decided stays so.",
        "parameters": [_JOB],
        "responses": answers("The job", "JobOut", {**_NO_JOB, 409: "It is over already"}),
    }


def _result() -> dict[str, Any]:
    form = {"type": "string", "enum": ["ndjson", "csv"], "default": "ndjson"}
    either = [{"$ref": f"#/components/schemas/{kind.__name__}"} for kind in (DecidedRow, RejectedRow)]
    lines = {"application/x-ndjson": {"schema": {"oneOf": either}}}
    content = {**lines, "text/csv": {"schema": {"type": "string"}}}
    problems = {**_NO_JOB, 409: "It is not over yet", 422: "No such format"}
    return {
        "operationId": "batchResult",
        "summary": "What came of every row, in their order: its answer, or why it was not decided.",
        "parameters": [_JOB, {"name": "format", "in": "query", "required": False, "schema": form}],
        "responses": {**_without_200(answers("", None, problems)), "200": answer("One line for each row", content)},
    }
