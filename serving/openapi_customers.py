"""Customers described for machines."""

from typing import Any

from fradect.customers import Advice, Receipt
from fradect.risk_profile import RiskProfileOut
from serving.customer_export import MOST, USUAL, CustomerExport
from serving.openapi_parts import answers, json_of

CUSTOMER_TYPES = (RiskProfileOut, Advice, Receipt, CustomerExport)

_PROBLEMS = {404: "No such customer", 503: "A database does not answer; try again"}
_ID = {
    "name": "customer_id",
    "in": "path",
    "required": True,
    "description": "As purchases name the customer",
    "schema": {"type": "string", "minLength": 1, "maxLength": 256},
}
_PAGES = (
    {
        "name": "limit",
        "in": "query",
        "description": "At most so many purchases and events",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL},
    },
    {
        "name": "cursor",
        "in": "query",
        "description": "The `next` of the page before",
        "schema": {"type": "string", "minLength": 1, "maxLength": 2048},
    },
)
_EXPORTED: dict[str, Any] = {
    "customer": None,
    "purchases": [
        {
            "transaction_id": "tx_1001",
            "event_time": "2025-10-01T10:30:00Z",
            "observed_at": "2025-10-01T10:30:00Z",
            "fields": {"amount": 1500000, "currency": "RUB", "customer_id": "cust_123", "email": "ada@example.org"},
            "decision_id": "dec_064f0c9d1a2b30123456789",
            "decided_at": "2025-10-01T10:30:00Z",
            "answer": {"score": 512, "decision": "REVIEW"},
            "outcome": None,
            "outcomes": [],
        }
    ],
    "events": [],
    "sources": ["ledger", "streams", "log"],
    "next": None,
}
_EXAMPLE = {
    "customer_id": "cust_123",
    "ecommerce_risk": {
        "level": "MEDIUM",
        "fraud_score": 412,
        "history": {
            "decisions": 2,
            "by_decision": {"APPROVE": 1, "REVIEW": 1},
            "last_30_days": {"REVIEW": 1},
            "outcomes": {},
            "different": {"device": 2, "card": 1, "ip": 2, "address": 1},
            "spent": [{"currency": "RUB", "total": "21000.00", "average": "10500.00", "highest": "15000.00"}],
            "first_at": "2025-08-12T09:30:00Z",
            "last": {
                "decision_id": "dec_064f0c9d1a2b30123456789",
                "transaction_id": "tx_1001",
                "score": 512,
                "decision": "REVIEW",
                "decided_at": "2025-10-01T10:30:00Z",
                "outcome": None,
            },
            "log": None,
        },
    },
    "financial_risk": {"level": "UNKNOWN", "fraud_score": None, "history": None},
    "project_risk": {"level": "UNKNOWN", "fraud_score": None, "history": None},
    "overall_risk": "MEDIUM",
    "recommendations": [{"code": "NO_ACTION", "text": "Nothing to do.", "because": "no rule applies"}],
}


def customer_paths() -> dict[str, Any]:
    one = "/api/v1/customers/{customer_id}"
    return {
        one: {"delete": _erase()},
        f"{one}/risk-profile": {"get": _profile()},
        f"{one}/export": {"get": _export()},
    }


def _profile() -> dict[str, Any]:
    described = answers("The profile", "RiskProfileOut", _PROBLEMS)
    described["200"]["content"] = {
        "application/json": {**json_of("RiskProfileOut")["application/json"], "example": _EXAMPLE}
    }
    return {
        "operationId": "showRiskProfile",
        "summary": "How risky a customer is, the history behind it, and what to do by which rule.",
        "parameters": [_ID],
        "responses": described,
    }


def _export() -> dict[str, Any]:
    described = answers("A page of it", "CustomerExport", {**_PROBLEMS, 422: "A parameter is not valid, or unknown"})
    described["200"]["content"]["application/json"]["example"] = _EXPORTED
    return {
        "operationId": "exportCustomer",
        "summary": "Everything that is held of a customer, personal fields in clear, a page at a time.",
        "description": (
            "First what was decided, the newest first, then what came by imports and streams, in the order in which it "
            "came. Ask on with `next` until it is null; a 404 between two pages says that the customer was erased."
        ),
        "parameters": [_ID, *_PAGES],
        "responses": described,
    }


def _erase() -> dict[str, Any]:
    return {
        "operationId": "eraseCustomer",
        "summary": "Destroy a customer's keys, features and live state. Asked again, the receipt is the same.",
        "description": (
            "What was decided stays in the ledger, unreadable where it was personal. After a 503 ask again: it goes on "
            "where it was, and goes on by itself within minutes."
        ),
        "parameters": [_ID],
        "responses": answers("The receipt", "Receipt", _PROBLEMS),
    }
