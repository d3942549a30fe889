"""What the description says of errors: on every operation, an example of each type that it can answer with."""

from collections.abc import Iterator, Mapping
from typing import Any

from serving.problem_types import PROBLEM_TYPES, URN, Told
from serving.problems import MEDIA_TYPE, InvalidKey, StillRunning

_FIELDS = {"invalid-input": "transaction.amount"}
_KEYED = {InvalidKey.type, StillRunning.type, "different-body"}
_BATCH = {"quota-exceeded"}
_REF = "#/components/examples/"


def listed() -> str:
    """All types, for the description's own introduction."""
    lines = [f"| `{URN}{name}` | {told.kind.status} | {told.meaning} | {told.remedy} |" for name, told in _told()]
    return "\n".join(["| type | status | meaning | what helps |", "|---|---|---|---|", *lines])


def with_examples(paths: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same with an example of every problem."""
    return {
        path: {method: _with(path, operation) for method, operation in operations.items()}
        for path, operations in paths.items()
    }


def _with(path: str, operation: Mapping[str, Any]) -> dict[str, Any]:
    is_keyed = any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", ()))
    responses = {}
    for status, response in operation["responses"].items():
        if MEDIA_TYPE not in response.get("content", {}):
            responses[status] = response
            continue
        types = [
            name
            for name, told in _told()
            if str(told.kind.status) == status
            and (is_keyed or name not in _KEYED)
            and ("/batch/" in path or name not in _BATCH)
            and (path.endswith("/score") or name != "overloaded")
        ]
        content = {**response["content"][MEDIA_TYPE], "examples": {name: {"$ref": f"{_REF}{name}"} for name in types}}
        responses[status] = {**response, "content": {**response["content"], MEDIA_TYPE: content}}
    return {**operation, "responses": responses}


def _told() -> Iterator[tuple[str, Told]]:
    yield from sorted(PROBLEM_TYPES.items(), key=lambda one: one[1].kind.status)


def examples() -> dict[str, Any]:
    """One of each type."""
    return {name: _example(name, told) for name, told in _told()}


def _example(name: str, told: Told) -> dict[str, Any]:
    value = {
        "type": f"{URN}{name}",
        "title": told.title,
        "status": told.kind.status,
        "detail": told.detail,
        "request_id": "req_0123456789abcdef",
    }
    if name in _FIELDS:
        value["field"] = _FIELDS[name]
    return {"summary": told.meaning, "description": told.remedy, "value": value}
