"""An example of every body that is taken or given."""

from collections.abc import Mapping
from typing import Any

_AT = "2025-10-01T10:30:00Z"
_LATER = "2025-10-01T10:35:00Z"
_OUTCOME = {
    "outcome": "confirmed_fraud",
    "outcome_updated_at": "2025-10-20T08:00:00Z",
    "outcomes": [
        {
            "outcome": "confirmed_fraud",
            "known_at": "2025-10-20T07:55:00Z",
            "told_at": "2025-10-20T08:00:00Z",
            "origin": "api",
            "note": "chargeback 4837",
        }
    ],
}
_ANSWER = {
    "decision_id": "dec_0192f1a0c3d4",
    "score": 720,
    "decision": "REVIEW",
    "factors": [
        {
            "name": "baseline",
            "points": 120,
            "text": "what a purchase has on average",
            "source": "model",
            "value": None,
        },
        {
            "name": "device_cards_1h",
            "points": 600,
            "text": "7 cards on this device in 1 h, usually 1",
            "source": "model",
            "value": 7,
        },
    ],
    "degraded": [],
    "release": "rel_0123456789abcdef",
    "request_id": "req_0123456789abcdef",
    "processing_time_ms": 4.2,
}
_JOB = {
    "job_id": "job_0192f1a0c3d4e",
    "module": "ecommerce",
    "status": "PROCESSING",
    "total": 1000,
    "done": 250,
    "progress": 0.25,
    "decisions": {"APPROVE": 230, "REVIEW": 15, "DECLINE": 4},
    "rejected": 1,
    "items_per_second": 500.0,
    "estimated_completion": _LATER,
    "created_at": _AT,
    "started_at": _AT,
    "finished_at": None,
    "result": None,
    "problem": None,
}
_WEBHOOK = {
    "id": "wh_0192f1a0c3d4",
    "url": "https://client.example/webhooks/fradect",
    "events": ["risk.decision.created", "risk.decision.updated"],
    "description": "the order desk",
    "status": "active",
    "created_at": _AT,
    "disabled_at": None,
    "disabled_reason": None,
    "failing_since": None,
    "old_secret_until": None,
}
_DELIVERY = {
    "id": "dlv_0192f1a0c3d4",
    "message_id": "msg_0192f1a0c3d4",
    "event": "risk.decision.created",
    "state": "waiting",
    "attempts": 1,
    "next_attempt_at": _LATER,
    "created_at": _AT,
    "last_attempt_at": _AT,
    "finished_at": None,
    "last_status": 503,
    "last_error": "status",
}
_LISTED = {
    "decision_id": _ANSWER["decision_id"],
    "module": "ecommerce",
    "entity_type": "transaction",
    "entity_id": "tx_1001",
    "score": 720,
    "decision": "REVIEW",
    "release": _ANSWER["release"],
    "degraded": [],
    "created_at": _AT,
    "outcome": None,
    "outcome_updated_at": None,
}
_TOLD = {
    "decision_id": _ANSWER["decision_id"],
    "entity_type": "transaction",
    "entity_id": "tx_1001",
    "score": 720,
    "decision": "REVIEW",
}
_PROPOSED = {
    "release": "rel_fedcba9876543210",
    "becomes": "canary",
    "share": 0.05,
    "asked": {
        "what": "canary 5 %",
        "by": "schedule",
        "reason": "2,431 of 2,000 events judged by both",
        "at": _AT,
    },
    "card": [{"gate": "declines", "result": "pass", "reason": "41 against 39 of 2,431 events"}],
    "evidence": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "approved": None,
}
_ROLLOUT = {
    "number": 7,
    "release": _ANSWER["release"],
    "previous": None,
    "challenger": "rel_fedcba9876543210",
    "stage": "shadow",
    "share": 0.0,
    "since": _AT,
    "until": None,
    "step": {"what": "proposed", "by": "schedule", "reason": "2,431 of 2,000 events judged by both", "at": _AT},
    "proposed": _PROPOSED,
}
_SECRET = "whsec_" + "c2VjcmV0IHNlY3JldCBzZWNyZXQ="  # of nobody

EXAMPLES: Mapping[str, Any] = {
    "Answer": _ANSWER,
    "ApprovalRequest": {
        "release": _PROPOSED["release"],
        "reason": "the card is fine, and so is the weekend",
        "word": "approve",
        "evidence": _PROPOSED["evidence"],
    },
    "CustomerExport": {
        "customer": {"id": "cust_123", "email": "ada@example.org"},
        "purchases": [{"event_id": "tx_1001", "fields": {"amount": 1500000, "currency": "RUB"}}],
    },
    "DecisionOut": {
        "decision_id": _ANSWER["decision_id"],
        "module": "ecommerce",
        "entity_id": "tx_1001",
        "created_at": _AT,
        "answer": _ANSWER,
        **_OUTCOME,
    },
    "DecisionsOut": {"decisions": [_LISTED], "next": "NjNmLmRlY18x"},
    "DeliveriesOut": {"deliveries": [_DELIVERY], "next": None},
    "DeliveryOut": _DELIVERY,
    "Health": {"status": "ok"},
    "JobOut": _JOB,
    "JobsOut": {"jobs": [_JOB], "next": None},
    "OutcomeRequest": {"outcome": "confirmed_fraud", "known_at": "2025-10-20T07:55:00Z", "note": "chargeback 4837"},
    "Readiness": {"status": "ready", "reasons": []},
    "Receipt": {
        "id": "era_0192f1a0c3d4",
        "customer_id": "cust_123",
        "requested_at": _AT,
        "completed_at": _LATER,
        "destroyed": {"keys": 1},
        "kept": {"ledger": "decisions stay, with ciphertext that no key opens any more"},
        "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    },
    "RollbackRequest": {"reason": "calls from customers", "release": _PROPOSED["release"]},
    "RolloutOut": {
        **_ROLLOUT,
        "module": "ecommerce",
        "begun_by": "k3v9x0q2m5t7",
        "begun_at": _AT,
        "four_eyes": True,
        "waits_for": "a second person",
        "in_force": True,
        "idle": None,
    },
    "RolloutsOut": {"history": [_ROLLOUT], "next": None},
    "RotateRequest": {"overlap_seconds": 86400},
    "StandingOut": {"decision_id": _ANSWER["decision_id"], "entity_id": "tx_1001", **_OUTCOME},
    "UploadOut": {
        "upload_id": "upl_0192f1a0c3d4e",
        "format": "csv",
        "bytes": 48213,
        "rows": 1000,
        "created_at": _AT,
        "expires_at": "2025-10-02T10:30:00Z",
    },
    "WebhookMessage": {"event": "risk.decision.created", "data": _TOLD, "timestamp": _AT},
    "WebhookOut": _WEBHOOK,
    "WebhookSecretOut": {**_WEBHOOK, "secret": _SECRET},
    "WebhookTestMessage": {"event": "webhook.test", "data": {"webhook_id": _WEBHOOK["id"]}, "timestamp": _AT},
    "WebhooksOut": {"webhooks": [_WEBHOOK]},
}
_REF = "#/components/schemas/"
_PLAIN: Mapping[str, Any] = {
    "text/plain": 'fradect_requests_total{decision="APPROVE",module="ecommerce"} 12.0\n',
    "text/csv": "row,transaction_id,decision,score,decision_id,release,problem,detail,field\r\n",
}


def with_examples(content: Mapping[str, Any]) -> dict[str, Any]:
    """Media types, each with an example where it has none and one is here."""
    return {kind: _with(kind, media) for kind, media in content.items()}


def _with(kind: str, media: Mapping[str, Any]) -> dict[str, Any]:
    example = EXAMPLES.get(media["schema"].get("$ref", "").removeprefix(_REF), _PLAIN.get(kind))
    if example is None or "example" in media or "examples" in media:
        return {**media}
    return {**media, "example": example}
