"""The interface described for machines: OpenAPI 3.1, its schemas made from the types that do the checking."""

from collections.abc import Mapping
from typing import Any

import msgspec

from fradect import __doc__ as about
from fradect.answer import Answer
from serving.decisions import DecisionOut, OutcomeRequest, StandingOut
from serving.openapi_security import SCHEMES, secured
from serving.problems import MEDIA_TYPE, TITLES, Problem
from serving.schemas import PurchaseRequest


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str


class Readiness(msgspec.Struct, frozen=True):
    """Whether decisions are made, and why not."""

    status: str
    reasons: tuple[str, ...]


# Problems each route can answer with, by status; every route can also fail unforeseen.
_BODY_PROBLEMS = {
    400: "The body is not valid JSON, or names a key twice",
    408: "The body took too long",
    413: "The body is larger than 64 KiB",
    415: "Not uncompressed application/json",
}
_SCORE_PROBLEMS = {
    **_BODY_PROBLEMS,
    400: "The body is not valid JSON, or names a key twice; or the Idempotency-Key is not valid",
    404: "No such module",
    409: "The first request under the same Idempotency-Key is not answered yet; try again",
    422: "A value is not valid, or the transaction id or the Idempotency-Key was used for another request",
    503: "The ledger does not answer, or no release decides yet; try again",
}
_SHOW_PROBLEMS = {
    404: "No such decision",
    503: "The ledger does not answer; try again",
}
_TELL_PROBLEMS = {
    **_BODY_PROBLEMS,
    **_SHOW_PROBLEMS,
    422: "A value is not valid",
}
_EXAMPLE = {
    "transaction": {
        "transaction_id": "tx_1001",
        "amount": 15000,
        "currency": "RUB",
        "customer_id": "cust_123",
        "merchant_id": "shop_7",
        "payment_method": "card",
        "device": {"id": "dev_9", "ip": "192.0.2.1", "browser": "firefox"},
        "card": {"token": "tok_4", "country": "RU"},
        "shipping_address": {"country": "RU"},
    },
    "context": {"channel": "web"},
    "options": {"include_factors": True},
}


def document() -> bytes:
    """The whole description as JSON."""
    types = (PurchaseRequest, Answer, OutcomeRequest, StandingOut, DecisionOut, Problem, Health, Readiness)
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    title = (about or "").partition(":")[0]
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": title, "version": "1", "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
            "paths": secured(_paths()),
            "components": {"schemas": schemas, "securitySchemes": SCHEMES},
        }
    )


def _paths() -> dict[str, Any]:
    return {
        "/api/v1/ecommerce/score": {"post": _score()},
        "/api/v1/decisions/{decision_id}": {"get": _show()},
        "/api/v1/decisions/{decision_id}/outcome": {"post": _tell()},
        "/health": {"get": _read("health", "The process answers", {200: _json("Health")})},
        "/ready": {
            "get": _read("ready", "Whether decisions are made", {200: _json("Readiness"), 503: _json("Readiness")})
        },
        "/metrics": {"get": _read("metrics", "Figures for Prometheus", {200: _text()})},
        "/openapi.json": {"get": _read("openapi", "This description", {200: {"application/json": {"schema": {}}}})},
    }


def _score() -> dict[str, Any]:
    body = {"application/json": {**_json("PurchaseRequest")["application/json"], "example": _EXAMPLE}}
    return {
        "operationId": "scorePurchase",
        "summary": "Decide one purchase. The same transaction id gives the same answer again.",
        "parameters": [_KEY],
        "requestBody": {"required": True, "content": body},
        "responses": _answers("The decision, durably stored", "Answer", _SCORE_PROBLEMS),
    }


def _show() -> dict[str, Any]:
    return {
        "operationId": "showDecision",
        "summary": "One decision: its answer as it left, and what it turned out to be.",
        "parameters": [_DECISION],
        "responses": _answers("The decision", "DecisionOut", _SHOW_PROBLEMS),
    }


def _tell() -> dict[str, Any]:
    return {
        "operationId": "tellOutcome",
        "summary": "What a decision turned out to be. Corrections are added; told again, nothing changes.",
        "parameters": [_DECISION],
        "requestBody": {"required": True, "content": _json("OutcomeRequest")},
        "responses": _answers("How the decision stands now", "StandingOut", _TELL_PROBLEMS),
    }


_DECISION = {"name": "decision_id", "in": "path", "required": True, "schema": {"type": "string"}}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Names this request. The same again gets the same answer, another under the same key is refused.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


def _answers(what: str, schema: str, problems: Mapping[int, str]) -> dict[str, Any]:
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    answers: dict[str, Any] = {"200": _answer(what, _json(schema))}
    for status, why in sorted({**problems, 500: TITLES["internal"]}.items()):
        answers[str(status)] = _answer(why, problem)
    return answers


def _read(operation: str, summary: str, contents: Mapping[int, Any]) -> dict[str, Any]:
    return {
        "operationId": operation,
        "summary": summary,
        "responses": {str(status): _answer(summary, content) for status, content in contents.items()},
    }


def _answer(description: str, content: Any) -> dict[str, Any]:
    header = {"description": "Names this request in the log", "schema": {"type": "string"}}
    return {"description": description, "content": content, "headers": {"X-Request-Id": header}}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _text() -> dict[str, Any]:
    return {"text/plain": {"schema": {"type": "string"}}}
