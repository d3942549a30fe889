"""Every route and what it takes to call it: a route that is not here does not start, and opens to nobody."""

from collections.abc import Iterable, Mapping

from starlette.routing import BaseRoute, Route

from fradect.errors import Refused
from fradect.permissions import (
    ERASE_CUSTOMERS,
    EXPORT_CUSTOMERS,
    MOVE_RELEASES,
    READ_CUSTOMERS,
    READ_DECISIONS,
    READ_RELEASES,
    READ_WEBHOOKS,
    SCORE,
    WRITE_WEBHOOKS,
)

OPEN = "open"
"""Of routes that anybody may call, without a key: they tell nothing of any tenant."""

RULES: Mapping[tuple[str, str], str] = {
    ("POST", "/api/v1/{module}/score"): SCORE,
    ("POST", "/api/v1/batch/score"): SCORE,
    ("POST", "/api/v1/batch/uploads"): SCORE,
    ("DELETE", "/api/v1/batch/uploads/{upload_id}"): SCORE,
    ("GET", "/api/v1/batch/jobs"): READ_DECISIONS,
    ("GET", "/api/v1/batch/jobs/{job_id}"): READ_DECISIONS,
    ("DELETE", "/api/v1/batch/jobs/{job_id}"): SCORE,
    ("POST", "/api/v1/batch/jobs/{job_id}/cancel"): SCORE,
    ("GET", "/api/v1/batch/jobs/{job_id}/result"): READ_DECISIONS,
    ("GET", "/api/v1/decisions"): READ_DECISIONS,
    ("GET", "/api/v1/decisions/{decision_id}"): READ_DECISIONS,
    ("POST", "/api/v1/decisions/{decision_id}/outcome"): SCORE,
    ("POST", "/api/v1/webhooks"): WRITE_WEBHOOKS,
    ("GET", "/api/v1/webhooks"): READ_WEBHOOKS,
    ("GET", "/api/v1/webhooks/{webhook_id}"): READ_WEBHOOKS,
    ("DELETE", "/api/v1/webhooks/{webhook_id}"): WRITE_WEBHOOKS,
    ("POST", "/api/v1/webhooks/{webhook_id}/rotate-secret"): WRITE_WEBHOOKS,
    ("POST", "/api/v1/webhooks/{webhook_id}/disable"): WRITE_WEBHOOKS,
    ("POST", "/api/v1/webhooks/{webhook_id}/enable"): WRITE_WEBHOOKS,
    ("POST", "/api/v1/webhooks/{webhook_id}/test"): WRITE_WEBHOOKS,
    ("GET", "/api/v1/webhooks/{webhook_id}/deliveries"): READ_WEBHOOKS,
    ("POST", "/api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay"): WRITE_WEBHOOKS,
    ("GET", "/api/v1/customers/{customer_id}/risk-profile"): READ_CUSTOMERS,
    ("GET", "/api/v1/customers/{customer_id}/export"): EXPORT_CUSTOMERS,
    ("DELETE", "/api/v1/customers/{customer_id}"): ERASE_CUSTOMERS,
    ("GET", "/api/v1/releases/rollout"): READ_RELEASES,
    ("GET", "/api/v1/releases/history"): READ_RELEASES,
    ("POST", "/api/v1/releases/rollback"): MOVE_RELEASES,
    ("POST", "/api/v1/releases/approval"): MOVE_RELEASES,
    ("GET", "/health"): OPEN,
    ("GET", "/ready"): OPEN,
    ("GET", "/metrics"): OPEN,
    ("GET", "/openapi.json"): OPEN,
}


def rule_of(method: str, path: str) -> str:
    """The permission, or OPEN. Refused for a route without a rule."""
    try:
        return RULES[method, path]
    except KeyError:
        raise Refused(f"{method} {path} has no rule: say in serving/permissions.py who may call it") from None


def check(routes: Iterable[BaseRoute]) -> None:
    """Refused when a route has no rule, or is of a kind that rules cannot see into."""
    for route in routes:
        if not isinstance(route, Route):
            raise Refused(f"{route} is no plain route: nothing guards what it leads to")
        for method in route.methods or ("every method",):
            if method != "HEAD":  # comes with GET
                rule_of(method, route.path)
