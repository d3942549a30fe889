"""What the description says of keys, tokens and limits: on every operation, by the rule of its route."""

import re
from collections.abc import Mapping
from typing import Any

from fradect.errors import Refused
from serving.permissions import OPEN, RULES
from serving.problems import MEDIA_TYPE

SCHEMES: Mapping[str, Any] = {
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "A key of the tenant, `fdk_live_...` or, of a tenant for tests, `fdk_test_...`.",
    },
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A signed token of an issuer that the operator declared; it names tenant and roles.",
    },
}

_LIMITS = {
    "RateLimit-Policy": "The quotas of the key and of its tenant: q requests in w seconds",
    "RateLimit": "What is left of the tighter one: r requests, until t seconds from now",
}
_ANYBODY = {"X-Request-Id": "Names this request in the log"}


def secured(paths: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same, each operation with its rule. Refused where one has none."""
    return {
        path: {method: _secured(operation, _rule(method.upper(), path)) for method, operation in operations.items()}
        for path, operations in paths.items()
    }


def _rule(method: str, path: str) -> str:
    for (its_method, template), permission in RULES.items():
        if its_method == method and re.fullmatch(_pattern(template), path):
            return permission
    raise Refused(f"{method} {path} is described and has no rule: see serving/permissions.py")


def _pattern(template: str) -> str:
    """A path is described once for each module."""
    return "[^/{}]+".join(re.escape(part) for part in template.split("{module}"))


def _secured(operation: Mapping[str, Any], permission: str) -> dict[str, Any]:
    if permission == OPEN:
        return {**operation, "description": _text(operation, "Needs no key."), "security": []}
    responses = {
        **operation["responses"],
        "401": _problem("No valid key or token; the body is the same whatever was wrong", _ANYBODY),
        "403": _problem(f"The permission {permission} is missing", _ANYBODY | _LIMITS),
        "429": _problem("More was asked than is allowed", _ANYBODY | _LIMITS | {"Retry-After": "Seconds to wait"}),
    }
    for status, answer in responses.items():
        if status != "401":
            answer["headers"] = {**answer.get("headers", {}), **_headers(_LIMITS)}
    return {
        **operation,
        "description": _text(operation, f"Needs the permission `{permission}`."),
        "security": [{scheme: []} for scheme in SCHEMES],
        "responses": dict(sorted(responses.items())),
    }


def _text(operation: Mapping[str, Any], more: str) -> str:
    return f"{operation.get('description', '')} {more}".strip()


def _problem(description: str, headers: Mapping[str, str]) -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": description, "headers": _headers(headers), "content": content}


def _headers(described: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in described.items()}
