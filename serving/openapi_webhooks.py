"""Webhooks described for machines: the routes, and the messages that a receiver is sent."""

from typing import Any

from fradect.deliveries import CREATED, EVENTS, TEST, UPDATED
from serving.openapi_parts import BODY_PROBLEMS, answers, json_of
from serving.webhook_schemas import (
    DeliveriesOut,
    DeliveryOut,
    RotateRequest,
    WebhookMessage,
    WebhookOut,
    WebhookRequest,
    WebhookSecretOut,
    WebhooksOut,
    WebhookTestMessage,
)

WEBHOOK_TYPES = (
    WebhookRequest,
    RotateRequest,
    WebhookOut,
    WebhookSecretOut,
    WebhooksOut,
    DeliveryOut,
    DeliveriesOut,
    WebhookMessage,
    WebhookTestMessage,
)

_AWAY = {503: "The ledger does not answer; try again"}
_MISSING = {404: "No such webhook", **_AWAY}
_INVALID = {422: "A value is not valid"}
_DISABLED = {**_MISSING, 409: "The webhook is disabled"}
_EXAMPLE = {"url": "https://client.example/webhooks/fradect", "events": list(EVENTS)}
_WEBHOOK = {"name": "webhook_id", "in": "path", "required": True, "schema": {"type": "string"}}
_DELIVERY = {**_WEBHOOK, "name": "delivery_id"}
_ROOT = "/api/v1/webhooks"
_ONE = f"{_ROOT}/{{webhook_id}}"


def webhook_paths() -> dict[str, Any]:
    return {
        _ROOT: {"post": _register(), "get": _list()},
        _ONE: {"get": _show(), "delete": _delete()},
        f"{_ONE}/rotate-secret": {"post": _rotate()},
        f"{_ONE}/disable": {"post": _change("disableWebhook", "Tell it nothing more. What waits for it is dead.")},
        f"{_ONE}/enable": {"post": _change("enableWebhook", "Tell it of what happens from now on.")},
        f"{_ONE}/test": {"post": _test()},
        f"{_ONE}/deliveries": {"get": _deliveries()},
        f"{_ONE}/deliveries/{{delivery_id}}/replay": {"post": _replay()},
    }


def _register() -> dict[str, Any]:
    body = {"application/json": {**json_of("WebhookRequest")["application/json"], "example": _EXAMPLE}}
    problems = {**BODY_PROBLEMS, **_AWAY, **_INVALID, 409: "There are sixteen webhooks already"}
    problems[422] = "A value is not valid, or the host of the URL has no public address"
    return {
        "operationId": "registerWebhook",
        "summary": "Be told of decisions. The answer shows the secret that signs, this once.",
        "requestBody": {"required": True, "content": body},
        "responses": answers("The webhook, with its secret", "WebhookSecretOut", problems, 201),
    }


def _list() -> dict[str, Any]:
    return {
        "operationId": "listWebhooks",
        "summary": "Every webhook; of one that was disabled, why.",
        "responses": answers("All of them", "WebhooksOut", _AWAY),
    }


def _show() -> dict[str, Any]:
    return {
        "operationId": "showWebhook",
        "summary": "One webhook, without its secret.",
        "parameters": [_WEBHOOK],
        "responses": answers("The webhook", "WebhookOut", _MISSING),
    }


def _delete() -> dict[str, Any]:
    return {
        "operationId": "deleteWebhook",
        "summary": "Delete a webhook, and all its deliveries.",
        "parameters": [_WEBHOOK],
        "responses": answers("It is gone", None, _MISSING, 204),
    }


def _rotate() -> dict[str, Any]:
    return {
        "operationId": "rotateWebhookSecret",
        "summary": "A new secret, shown this once. For a while the one before it signs as well.",
        "parameters": [_WEBHOOK],
        "requestBody": {"required": True, "content": json_of("RotateRequest")},
        "responses": answers("The webhook", "WebhookSecretOut", {**BODY_PROBLEMS, **_MISSING, **_INVALID}),
    }


def _change(operation: str, summary: str) -> dict[str, Any]:
    return {
        "operationId": operation,
        "summary": summary,
        "parameters": [_WEBHOOK],
        "responses": answers("The webhook as it is now", "WebhookOut", _MISSING),
    }


def _test() -> dict[str, Any]:
    return {
        "operationId": "testWebhook",
        "summary": "Send a webhook.test event, delivered as any other.",
        "parameters": [_WEBHOOK],
        "responses": answers("The delivery, which is made soon", "DeliveryOut", _DISABLED, 202),
    }


def _deliveries() -> dict[str, Any]:
    state = {"type": "string", "enum": ["waiting", "delivered", "dead"]}
    limit = {"type": "integer", "minimum": 1, "maximum": 100, "default": 50}
    asked = {"state": state, "limit": limit, "before": {"type": "string", "pattern": "^dlv_[0-9a-f]{13,40}$"}}
    return {
        "operationId": "listWebhookDeliveries",
        "summary": "Deliveries of a webhook, the newest first: `state=dead` are those that no try is left of.",
        "parameters": [_WEBHOOK, *({"name": name, "in": "query", "schema": its} for name, its in asked.items())],
        "responses": answers("A page of them", "DeliveriesOut", {**_MISSING, **_INVALID}),
    }


def _replay() -> dict[str, Any]:
    return {
        "operationId": "replayWebhookDelivery",
        "summary": "Try a dead delivery again, under the message's own id.",
        "parameters": [_WEBHOOK, _DELIVERY],
        "responses": answers(
            "The delivery, which is made soon",
            "DeliveryOut",
            {**_DISABLED, 404: "No such webhook, or delivery", 409: "It is not dead, or the webhook is disabled"},
            202,
        ),
    }


def _message(operation: str, summary: str, schema: str = "WebhookMessage") -> dict[str, Any]:
    headers = {
        "X-Fradect-Event": "The event's name",
        "X-Fradect-Signature": "sha256= and the HMAC of webhook-timestamp, a full stop and the body, in hexadecimal",
        "webhook-id": "The message's id, the same at every try",
        "webhook-timestamp": "Seconds since 1970 when it was sent",
        "webhook-signature": "Standard Webhooks v1; several, separated by spaces, while a secret is replaced",
    }
    named = [
        {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
        for name, text in headers.items()
    ]
    return {
        "post": {
            "operationId": operation,
            "summary": summary,
            "parameters": named,
            "requestBody": {"required": True, "content": json_of(schema)},
            "responses": {
                "2XX": {"description": "Taken; it is not sent again"},
                "410": {"description": "The webhook is disabled"},
                "default": {"description": "It is sent again later, ten times within three days"},
            },
        }
    }


MESSAGES = {
    CREATED: _message("onDecisionCreated", "A decision was made."),
    UPDATED: _message("onDecisionUpdated", "It became known what a decision turned out to be."),
    TEST: _message("onTest", "Its owner asked for a test.", "WebhookTestMessage"),
}
