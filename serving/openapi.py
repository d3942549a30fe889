"""The interface described for machines: OpenAPI 3.1, its schemas made from the types that do the checking."""

from typing import Any

import msgspec

from fradect import __doc__ as about
from fradect.answer import Answer
from serving.decisions import DecisionOut, OutcomeRequest, StandingOut
from serving.openapi_batch import BATCH_TYPES, EITHER, LATER, batch_paths
from serving.openapi_customers import CUSTOMER_TYPES, customer_paths
from serving.openapi_decisions import LIST_TYPES, list_decisions
from serving.openapi_parts import BODY_PROBLEMS, answers, json_of, plain_text, reading
from serving.openapi_releases import RELEASE_TYPES, release_paths
from serving.openapi_security import SCHEMES, secured
from serving.openapi_webhooks import MESSAGES, WEBHOOK_TYPES, webhook_paths
from serving.openapi_whole import whole
from serving.problems import Problem
from serving.schemas import PurchaseRequest


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str


class Readiness(msgspec.Struct, frozen=True):
    """Whether decisions are made, and why not."""

    status: str
    reasons: tuple[str, ...]


# Problems each route can answer with, by status.
_SCORE_PROBLEMS = {
    **BODY_PROBLEMS,
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
    **BODY_PROBLEMS,
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
    _, schemas = msgspec.json.schema_components(
        (*types, *WEBHOOK_TYPES, *BATCH_TYPES, *LIST_TYPES, *CUSTOMER_TYPES, *RELEASE_TYPES),
        ref_template="#/components/schemas/{name}",
    )
    schemas["BatchRequest"]["oneOf"] = EITHER
    title = (about or "").partition(":")[0]
    told = whole(
        {
            "openapi": "3.1.0",
            "info": {"title": title, "version": "1", "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
            "paths": secured(_paths()),
            "webhooks": MESSAGES,
            "components": {"schemas": schemas, "securitySchemes": SCHEMES},
        }
    )
    return msgspec.json.encode(told)


def _paths() -> dict[str, Any]:
    return {
        "/api/v1/ecommerce/score": {"post": _score()},
        **batch_paths(),
        "/api/v1/decisions": {"get": list_decisions()},
        "/api/v1/decisions/{decision_id}": {"get": _show()},
        "/api/v1/decisions/{decision_id}/outcome": {"post": _tell()},
        **customer_paths(),
        **webhook_paths(),
        **release_paths(),
        "/health": {"get": reading("health", "The process answers", {200: json_of("Health")})},
        "/ready": {
            "get": reading(
                "ready", "Whether decisions are made", {200: json_of("Readiness"), 503: json_of("Readiness")}
            )
        },
        "/metrics": {"get": reading("metrics", "Figures for Prometheus", {200: plain_text()})},
        "/openapi.json": {"get": reading("openapi", "This description", {200: {"application/json": {"schema": {}}}})},
    }


def _score() -> dict[str, Any]:
    body = {"application/json": {**json_of("PurchaseRequest")["application/json"], "example": _EXAMPLE}}
    return {
        "operationId": "scorePurchase",
        "summary": "Decide one purchase. The same transaction id gives the same answer again.",
        "parameters": [_KEY],
        "requestBody": {"required": True, "content": body},
        "responses": {**answers("The decision, durably stored", "Answer", _SCORE_PROBLEMS), **LATER},
    }


def _show() -> dict[str, Any]:
    return {
        "operationId": "showDecision",
        "summary": "One decision: its answer as it left, and what it turned out to be.",
        "parameters": [_DECISION],
        "responses": answers("The decision", "DecisionOut", _SHOW_PROBLEMS),
    }


def _tell() -> dict[str, Any]:
    return {
        "operationId": "tellOutcome",
        "summary": "What a decision turned out to be. Corrections are added; told again, nothing changes.",
        "parameters": [_DECISION],
        "requestBody": {"required": True, "content": json_of("OutcomeRequest")},
        "responses": answers("How the decision stands now", "StandingOut", _TELL_PROBLEMS),
    }


_DECISION = {"name": "decision_id", "in": "path", "required": True, "schema": {"type": "string"}}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Names this request. The same again gets the same answer, another under the same key is refused.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
