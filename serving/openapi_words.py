"""What every field and parameter of the description means, by its name; where one name means two things, by schema."""

from collections.abc import Mapping
from typing import Any

_LATER = "; null until then"

WORDS: Mapping[str, str] = {
    "Address.country": "ISO 3166-1 code of the country",
    "Address.text": "The address as it was written",
    "BatchOptions.include_factors": "The reasons of every decision, which cost several times what a decision does",
    "BatchRequest.options": "How all of it is decided",
    "ByDecision.APPROVE": "Rows that were approved",
    "ByDecision.DECLINE": "Rows that were declined",
    "ByDecision.REVIEW": "Rows that a person should look at",
    "Card.country": "ISO 3166-1 code of the country that issued it",
    "Card.token": "What stands for the card, always the same for the same card; never its number",
    "DecidedRow.transaction_id": "The purchase's own id",
    "DeliveryOut.event": "The event's name",
    "DeliveryOut.id": "The delivery's id",
    "Device.browser": "The browser's name",
    "Device.id": "The device's fingerprint",
    "Device.ip": "IPv4 or IPv6 address",
    "Device.ip_country": "ISO 3166-1 code of the address's country; without it the operator's table says, if it knows",
    "Factor.name": "What it is called in rules and features",
    "Factor.source": "Where it comes from: the model, a rule, or what was missing",
    "Factor.text": "The reason in words",
    "Factor.value": "The value behind it, if there is one",
    "Health.status": "`ok`",
    "JobOut.decisions": "Rows decided so far, by decision",
    "JobOut.problem": "Why it failed, if it did",
    "JobOut.status": "Whether it is over, and how it ended",
    "Options.include_factors": "False spares the cost of the model's exact contributions",
    "PurchaseRequest.options": "How it is decided",
    "Problem.field": "Which value is to blame, if one is",
    "Problem.status": "The HTTP status",
    "Readiness.status": "`ready`, or `not ready`, `starting`, `failed`",
    "RejectedRow.transaction_id": "The purchase's own id, if the row could be read as a request",
    "RowProblem.field": "Which value is to blame, if one is",
    "RowProblem.status": "The HTTP status that a request would have been answered with",
    "TestedWebhook.webhook_id": "Whose test it is",
    "Transaction.source": "Which of your systems sends it",
    "UploadOut.bytes": "Its size as it was sent",
    "UploadOut.rows": "How many rows it has; blank lines may count",
    "WebhookMessage.data": "The decision that it is about",
    "WebhookMessage.event": "What happened",
    "WebhookMessage.timestamp": "When it happened",
    "WebhookOut.description": "What its owner calls it",
    "WebhookOut.id": "The webhook's id",
    "WebhookOut.status": "Whether it is told",
    "WebhookRequest.description": "What you call it",
    "WebhookSecretOut.description": "What its owner calls it",
    "WebhookSecretOut.id": "The webhook's id",
    "WebhookSecretOut.secret": "What signs its messages; shown this once",
    "WebhookSecretOut.status": "Whether it is told",
    "WebhookTestMessage.data": "The webhook that is tested",
    "WebhookTestMessage.event": "`webhook.test`",
    "WebhookTestMessage.timestamp": "When the test was asked for",
    "amount": "In major units of the currency (1999.90), with no more decimals than it has",
    "answer": "The decision, as it was answered",
    "async": "True: decided in the background, answered with 202 and a job",
    "attempts": "How often it was tried",
    "before": "The `next` of the page before",
    "browser": "The browser's name",
    "card": "How it is paid",
    "channel": "Where the order was placed: `web`, `app`, `phone`, ...",
    "context": "What surrounds the purchase",
    "created_at": "When it was made",
    "currency": "ISO 4217 code",
    "customer": "Who buys",
    "customer_id": "Your id of the customer",
    "decision": "`APPROVE`, `REVIEW` or `DECLINE`",
    "decision_id": "The decision's id",
    "decisions": "The decisions of this page",
    "degraded": "What it was made without; empty when nothing was missing",
    "deliveries": "The deliveries of this page",
    "delivery_id": "The delivery's id",
    "detail": "What is wrong here, and what to do",
    "device": "What the order was placed with",
    "disabled_at": "When it was disabled, if it is",
    "disabled_reason": "`caller` said so, it was `gone` (410), or `failing` for five days",
    "done": "Rows that are done",
    "email": "E-mail address; stored encrypted",
    "entity_id": "Your id of what was decided, such as the transaction id",
    "entity_type": "What was decided: `transaction`",
    "estimated_completion": "When it will be done at the speed so far; null when it is over or nobody can say",
    "event_time": "When it happened; without it, when it is received",
    "events": "Which events it is told of",
    "expires_at": "When it is deleted, if no job was made of it by then",
    "factors": "The reasons; their points add up to the score",
    "failing_since": "Nothing was delivered since then, though it was tried",
    "finished_at": "When it was over" + _LATER,
    "format": "In what format",
    "full_name": "Name; stored encrypted",
    "include_factors": "Whether reasons are given",
    "items": "What is to be decided; without `upload_id`",
    "items_per_second": "The speed so far; null until it is known",
    "job_id": "The job's id",
    "jobs": "The jobs of this page",
    "known_at": "When it became known; not in the future",
    "last_attempt_at": "When it was tried last" + _LATER,
    "last_error": "What went wrong last, in a word",
    "last_status": "What was answered last, if anything was",
    "limit": "At most so many",
    "merchant_id": "Your id of the shop or terminal",
    "message_id": "The message's id, as `webhook-id` says it",
    "module": "The kind of risk: `ecommerce`",
    "next": "What names the page that follows; null after the last",
    "next_attempt_at": "When it is tried again, if it is",
    "note": "Anything worth keeping; no personal data",
    "old_secret_until": "Until then the secret before this one signs as well",
    "origin": "Who told it: `api`, or an import",
    "outcome": "What it turned out to be; null while nothing was told",
    "outcome_updated_at": "When its outcome was told last",
    "outcomes": "All that was told, in that order",
    "overlap_seconds": "For so long the secret before signs as well",
    "payment_method": "How it is paid: `card`, `transfer`, ...",
    "phone": "Telephone number; stored encrypted",
    "points": "How much of the score, of 1000, is its doing; below zero it speaks for the purchase",
    "problem": "Why it was not decided",
    "processing_time_ms": "Milliseconds until the decision was made",
    "progress": "From 0 to 1",
    "reasons": "Why not; empty when it is ready",
    "rejected": "Rows that could not be decided",
    "release": "The release that decided",
    "request_id": "Names the request in the service's log",
    "result": "Where its results are, once it is over",
    "row": "Which row, counted from 1",
    "score": "From 0 to 1000; the higher, the riskier",
    "secret": "whsec_ and base64 of 24 to 64 bytes; without it one is made",
    "shipping_address": "Where the goods go",
    "signup_at": "When the customer signed up",
    "started_at": "When work on it began" + _LATER,
    "state": "`waiting`, `delivered`, or `dead`: no try is left",
    "status": "How it stands",
    "title": "The type in words",
    "told_at": "When it was told",
    "total": "How many rows there are; blank lines may count until it is over",
    "transaction": "The purchase",
    "transaction_id": "Your id of the purchase; the same id gives the same answer again",
    "type": "Which kind of problem, as a URN; the introduction lists them all",
    "upload_id": "The upload's id",
    "url": "Where its messages go; https",
    "webhook_id": "The webhook's id",
    "webhooks": "All of them",
}


def words_of(schema: str, name: str) -> str | None:
    return WORDS.get(f"{schema}.{name}", WORDS.get(name))


def described(schemas: Mapping[str, Any]) -> dict[str, Any]:
    """The same, with what each field means."""
    return {name: _described(name, schema) for name, schema in schemas.items()}


def _described(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    told = {**schema}
    if "description" in schema:
        told["description"] = " ".join(schema["description"].split())
    if "properties" in schema:
        told["properties"] = {field: _with(its, words_of(name, field)) for field, its in schema["properties"].items()}
    return told


def with_parameters(operation: Mapping[str, Any]) -> dict[str, Any]:
    """The same, with what each parameter means."""
    if "parameters" not in operation:
        return {**operation}
    return {**operation, "parameters": [_with(one, words_of("", one["name"])) for one in operation["parameters"]]}


def _with(its: Mapping[str, Any], words: str | None) -> dict[str, Any]:
    return {**its} if words is None or "description" in its else {**its, "description": words}
