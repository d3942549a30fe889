"""Every operation as a value: what is sent, how its answer is read, and whether sending it twice does it once.

Both clients send these, and take parameters and words of their methods from here; nothing does any input or output.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from fradect_client import profiles, types
from fradect_client.call import Call, get, given, part_of_path, post, reads
from fradect_client.errors import InvalidArgument, UnexpectedAnswer

T = TypeVar("T")

FILE_TYPES: Mapping[types.FileFormat, str] = {
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}
_SUFFIXES: Mapping[str, types.FileFormat] = {
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".csv": "csv",
    ".parquet": "parquet",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which decisions: those that all of it fits. `from_` is included, `to` is not."""

    module: str | None = None
    decision: types.DecisionName | None = None
    from_: datetime | None = None
    to: datetime | None = None
    outcome: types.OutcomeFilter | None = None
    min_score: int | None = None
    max_score: int | None = None
    customer_id: str | None = None
    release: str | None = None
    degraded: bool | None = None


ALL = Filter()


def _nothing(_body: bytes) -> None:
    return None


def _text(body: bytes) -> str:
    return body.decode()


_answer, _job, _job_page = reads(types.Answer), reads(types.Job), reads(types.JobPage)
_decision, _standing, _page = reads(types.Decision), reads(types.Standing), reads(types.DecisionPage)
_upload, _row = reads(types.Upload), reads(types.RowResult)
_webhook, _secret, _webhooks = reads(types.Webhook), reads(types.WebhookWithSecret), reads(types.Webhooks)
_delivery, _deliveries = reads(types.Delivery), reads(types.DeliveryPage)
_profile, _export, _receipt = reads(profiles.RiskProfile), reads(profiles.CustomerExport), reads(profiles.Receipt)
_health, _readiness = reads(types.Health), reads(types.Readiness)
_anything: Callable[[bytes], dict[str, Any]] = msgspec.json.Decoder(dict[str, Any]).decode


def row_of(line: str, job_id: str) -> types.RowResult:
    """One line of a batch's result."""
    try:
        return _row(line.encode())
    except msgspec.DecodeError as error:
        raise UnexpectedAnswer(f"the result of {job_id} has a line that is none of FRADECT's: {error}") from error


def score(
    transaction: types.TransactionLike,
    *,
    channel: str | None = None,
    include_factors: bool = True,
    idempotency_key: str | None = None,
) -> Call[types.Answer]:
    """Decide a purchase. Safe to repeat: the same transaction gets the same answer."""
    body = _purchase(transaction, channel, include_factors=include_factors)
    return post("/api/v1/ecommerce/score", _answer, body, _keyed(idempotency_key))


def score_later(
    transaction: types.TransactionLike,
    *,
    channel: str | None = None,
    include_factors: bool = True,
    idempotency_key: str | None = None,
) -> Call[types.Job]:
    """Have it decided in the background: a batch of one, which webhooks tell of."""
    body = _purchase(transaction, channel, include_factors=include_factors, **{"async": True})
    return post("/api/v1/ecommerce/score", _job, body, _keyed(idempotency_key))


def _purchase(transaction: types.TransactionLike, channel: str | None, **options: bool) -> dict[str, Any]:
    context = {} if channel is None else {"context": {"channel": channel}}
    return {"transaction": transaction, **context, "options": options}


def get_decision(decision_id: str) -> Call[types.Decision]:
    return get(f"/api/v1/decisions/{part_of_path(decision_id)}", _decision)


def list_decisions(
    chosen: Filter = ALL, *, limit: int | None = None, cursor: str | None = None
) -> Call[types.DecisionPage]:
    """One page, the newest first. Go on with its `next` until that is None."""
    given = {name: getattr(chosen, name) for name in Filter.__slots__}
    given["from"] = given.pop("from_")
    return get("/api/v1/decisions", _page, **given, limit=limit, cursor=cursor)


def tell_outcome(
    decision_id: str, outcome: types.Outcome, *, known_at: datetime | None = None, note: str | None = None
) -> Call[types.Standing]:
    """What it turned out to be. Told again, nothing changes; told otherwise, that is a correction.

    Without `known_at`, the time at which it is told counts.
    """
    body = given(outcome=outcome, known_at=known_at, note=note)
    return post(f"/api/v1/decisions/{part_of_path(decision_id)}/outcome", _standing, body)


def submit_batch(
    items: Sequence[types.TransactionLike] | None = None,
    *,
    upload_id: str | None = None,
    include_factors: bool = False,
    idempotency_key: str | None = None,
) -> Call[types.Job]:
    """Up to 1,000 transactions, or a file that was uploaded."""
    if (items is None) == (upload_id is None):
        raise InvalidArgument("give items or upload_id, one of the two")
    rows = None if items is None else [{"type": "transaction", "data": item} for item in items]
    body = given(items=rows, upload_id=upload_id, options={"include_factors": include_factors})
    return post("/api/v1/batch/score", _job, body, _keyed(idempotency_key))


def upload(source: Path | bytes, *, file_format: types.FileFormat | None = None) -> Call[types.Upload]:
    """Send a file; its name says the format, if nothing else does. It is read as it is sent.

    Sent twice it is kept twice, for a day at most.
    """
    if file_format is None and isinstance(source, Path):
        file_format = _SUFFIXES.get(source.suffix.lower())
    if file_format is None:
        raise InvalidArgument(f"say the file's format, one of {', '.join(FILE_TYPES)}")
    size = source.stat().st_size if isinstance(source, Path) else len(source)
    headers = {"Content-Type": FILE_TYPES[file_format], "Content-Length": str(size)}
    return Call("POST", "/api/v1/batch/uploads", _upload, headers=headers, body=source)


def delete_upload(upload_id: str) -> Call[None]:
    return Call("DELETE", f"/api/v1/batch/uploads/{part_of_path(upload_id)}", _nothing, is_gone_done=True)


def list_jobs(*, limit: int | None = None, before: str | None = None) -> Call[types.JobPage]:
    return get("/api/v1/batch/jobs", _job_page, limit=limit, before=before)


def get_job(job_id: str) -> Call[types.Job]:
    return get(f"/api/v1/batch/jobs/{part_of_path(job_id)}", _job)


def cancel_job(job_id: str) -> Call[types.Job]:
    """Nothing more of it is decided."""
    return post(f"/api/v1/batch/jobs/{part_of_path(job_id)}/cancel", _job)


def job_result(job_id: str, form: types.ResultFormat) -> Call[None]:
    """Its answer is read as it comes."""
    return get(f"/api/v1/batch/jobs/{part_of_path(job_id)}/result", _nothing, format=form)


def risk_profile(customer_id: str) -> Call[profiles.RiskProfile]:
    return get(f"/api/v1/customers/{part_of_path(customer_id)}/risk-profile", _profile)


def export_customer(
    customer_id: str, *, limit: int | None = None, cursor: str | None = None
) -> Call[profiles.CustomerExport]:
    """A page of everything that is held, personal fields in clear. Go on with its `next` until that is None."""
    return get(f"/api/v1/customers/{part_of_path(customer_id)}/export", _export, limit=limit, cursor=cursor)


def erase_customer(customer_id: str) -> Call[profiles.Receipt]:
    """Destroy the customer's keys, features and live state. This cannot be undone.

    Asked again, the receipt is the same.
    """
    return Call("DELETE", f"/api/v1/customers/{part_of_path(customer_id)}", _receipt)


def register_webhook(
    url: str, events: Sequence[types.EventName], *, secret: str | None = None, description: str = ""
) -> Call[types.WebhookWithSecret]:
    """Keep the secret: it is shown this once. Not sent again when its answer is lost: look at `list` then."""
    body = {"url": url, "events": events, "description": description, **given(secret=secret)}
    return post("/api/v1/webhooks", _secret, body, repeatable=False)


def list_webhooks() -> Call[tuple[types.Webhook, ...]]:
    return get("/api/v1/webhooks", lambda body: _webhooks(body).webhooks)


def get_webhook(webhook_id: str) -> Call[types.Webhook]:
    return get(f"/api/v1/webhooks/{part_of_path(webhook_id)}", _webhook)


def delete_webhook(webhook_id: str) -> Call[None]:
    return Call("DELETE", f"/api/v1/webhooks/{part_of_path(webhook_id)}", _nothing, is_gone_done=True)


def rotate_secret(
    webhook_id: str, *, overlap_seconds: int = 86_400, secret: str | None = None
) -> Call[types.WebhookWithSecret]:
    """A new secret; for so long the one before it signs as well."""
    body = {"overlap_seconds": overlap_seconds, **given(secret=secret)}
    return post(f"/api/v1/webhooks/{part_of_path(webhook_id)}/rotate-secret", _secret, body, repeatable=False)


def disable_webhook(webhook_id: str) -> Call[types.Webhook]:
    return post(f"/api/v1/webhooks/{part_of_path(webhook_id)}/disable", _webhook)


def enable_webhook(webhook_id: str) -> Call[types.Webhook]:
    return post(f"/api/v1/webhooks/{part_of_path(webhook_id)}/enable", _webhook)


def test_webhook(webhook_id: str) -> Call[types.Delivery]:
    return post(f"/api/v1/webhooks/{part_of_path(webhook_id)}/test", _delivery, repeatable=False)


def list_deliveries(
    webhook_id: str,
    *,
    state: types.DeliveryState | None = None,
    limit: int | None = None,
    before: str | None = None,
) -> Call[types.DeliveryPage]:
    path = f"/api/v1/webhooks/{part_of_path(webhook_id)}/deliveries"
    return get(path, _deliveries, state=state, limit=limit, before=before)


def replay_delivery(webhook_id: str, delivery_id: str) -> Call[types.Delivery]:
    """Try a dead delivery again."""
    path = f"/api/v1/webhooks/{part_of_path(webhook_id)}/deliveries/{part_of_path(delivery_id)}/replay"
    return post(path, _delivery, repeatable=False)


def health() -> Call[types.Health]:
    return get("/health", _health)


def ready() -> Call[types.Readiness]:
    """Also where it is not ready."""
    return Call("GET", "/ready", _readiness, also=(503,))


def metrics() -> Call[str]:
    return get("/metrics", _text)


def openapi() -> Call[dict[str, Any]]:
    return get("/openapi.json", _anything)


def _keyed(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": key or str(uuid.uuid4())}
