"""What descriptions of routes are made of."""

from collections.abc import Mapping
from typing import Any

from serving.problems import MEDIA_TYPE, TITLES

BODY_PROBLEMS = {
    400: "The body is not valid JSON, or names a key twice",
    408: "The body took too long",
    413: "The body is larger than 64 KiB",
    415: "Not uncompressed application/json",
}
"""Of every route that takes a body, by status; every route can also fail unforeseen."""


def answers(what: str, schema: str | None, problems: Mapping[int, str], status: int = 200) -> dict[str, Any]:
    """By status; without a schema the answer is empty."""
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    known: dict[str, Any] = {str(status): answer(what, None if schema is None else json_of(schema))}
    for code, why in sorted({**problems, 500: TITLES["internal"]}.items()):
        known[str(code)] = answer(why, problem)
    return known


def reading(operation: str, summary: str, contents: Mapping[int, Any]) -> dict[str, Any]:
    return {
        "operationId": operation,
        "summary": summary,
        "responses": {str(status): answer(summary, content) for status, content in contents.items()},
    }


def answer(description: str, content: Any) -> dict[str, Any]:
    header = {"description": "Names this request in the log", "schema": {"type": "string"}}
    body = {} if content is None else {"content": content}
    return {"description": description, **body, "headers": {"X-Request-Id": header}}


def json_of(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def plain_text() -> dict[str, Any]:
    return {"text/plain": {"schema": {"type": "string"}}}
