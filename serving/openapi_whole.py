"""The last touches of the description: what every operation has, whoever described it."""

from collections.abc import Iterator, Mapping
from typing import Any

from serving.openapi_examples import with_examples
from serving.openapi_problems import examples, listed
from serving.openapi_problems import with_examples as with_problems
from serving.openapi_words import described, with_parameters

TAGS: Mapping[str, str] = {
    "Scoring": "Decisions, made while you wait",
    "Batches": "Many decisions, made in the background",
    "Decisions": "What was decided, and what it turned out to be",
    "Customers": "Whom decisions are about",
    "Webhooks": "Being told of decisions",
    "Releases": "Who decides, who is tried beside it, and the way back",
    "Operation": "Whether the service is well, and what it measures",
}
_OF_PATHS = {name.lower(): name for name in ("Decisions", "Customers", "Webhooks", "Releases")} | {"batch": "Batches"}

_INTRODUCTION = """Risk decisions over HTTP. A purchase becomes APPROVE, REVIEW or DECLINE, with a score and reasons.

Repeats are safe: the same `transaction_id`, or the same `Idempotency-Key`, gets the same answer. Every answer carries
`X-Request-Id`. Unknown fields of a request are refused; of an answer, expect new ones.

Errors are `application/problem+json` (RFC 9457), each of one of these types:

"""


def whole(document: Mapping[str, Any]) -> dict[str, Any]:
    """The same with an introduction, tags, words for every field, and examples."""
    components = {
        **document["components"],
        "headers": dict(_headers(document["paths"])),
        "schemas": described(document["components"]["schemas"]),
        "examples": examples(),
    }
    return {
        **document,
        "info": {**document["info"], "description": _INTRODUCTION + listed()},
        "servers": [{"url": "/", "description": "Where this description came from"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": with_problems(_each(document["paths"])),
        "webhooks": _each(document["webhooks"]),
        "components": components,
    }


def _each(paths: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        path: {method: _operation(path, operation) for method, operation in operations.items()}
        for path, operations in paths.items()
    }


def _operation(path: str, operation: Mapping[str, Any]) -> dict[str, Any]:
    told = with_parameters(operation)
    if path.startswith("/"):
        told["tags"] = [_tag(path)]
    if "requestBody" in told:
        told["requestBody"] = _body(told["requestBody"])
    told["responses"] = {status: _body(response) for status, response in told["responses"].items()}
    return told


def _body(holder: Mapping[str, Any]) -> dict[str, Any]:
    told = {**holder}
    if "content" in holder:
        told["content"] = with_examples(holder["content"])
    if "headers" in holder:
        told["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in holder["headers"]}
    return told


def _headers(paths: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Said once: a header means the same wherever it comes."""
    for operations in paths.values():
        for operation in operations.values():
            for response in operation["responses"].values():
                yield from response.get("headers", {}).items()


def _tag(path: str) -> str:
    if not path.startswith("/api/"):
        return "Operation"
    return _OF_PATHS.get(path.split("/")[3], "Scoring")
