"""The synchronous client. The asynchronous one has the same methods under the same names."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from fradect_client import calls, profiles, types
from fradect_client.calls import ALL, Call, Filter, Scoring
from fradect_client.errors import ConnectionFailed, StillProcessing, UnexpectedAnswer
from fradect_client.retries import USUAL, Attempts, Retry, result
from fradect_client.settings import BATCH_PAUSES, CHUNK, USER_AGENT, USUAL_TIMEOUT, Access, Token, Waiting

T = TypeVar("T")

_row = calls.reads(types.RowResult)


class _Sender:
    """Sends calls until they are answered or their deadline is near."""

    def __init__(self, http: httpx.Client, access: Access, waiting: Waiting) -> None:
        self.http, self._access, self._waiting = http, access, waiting

    def send(self, call: Call[T]) -> T:
        attempts = Attempts(call, self._waiting.retry)
        while True:
            try:
                response = self.http.send(self._request(call, attempts))
            except httpx.TransportError as failure:
                pause: float | None = attempts.after_failure(failure)
            else:
                pause = attempts.after(response)
                if pause is None:
                    return result(call, response)
            time.sleep(pause or 0.0)

    @contextmanager
    def stream(self, call: Call[Any]) -> Iterator[httpx.Response]:
        """An answer of success whose body is still to be read."""
        attempts = Attempts(call, self._waiting.retry)
        while True:
            try:
                response = self.http.send(self._request(call, attempts), stream=True)
                if response.is_error:
                    response.read()
            except httpx.TransportError as failure:
                pause: float | None = attempts.after_failure(failure)
            else:
                pause = attempts.after(response)
                if pause is None:
                    break
            time.sleep(pause or 0.0)
        try:
            yield response
        except httpx.TransportError as failure:
            raise ConnectionFailed(f"{call.path} ended before all of it was there: {failure}") from failure
        finally:
            response.close()

    def _request(self, call: Call[Any], attempts: Attempts) -> httpx.Request:
        headers = {**call.headers, **self._access.headers()}
        content = _pieces(call.body) if isinstance(call.body, Path) else call.body
        timeout = attempts.timeout(self._waiting.timeout)
        return self.http.build_request(
            call.method, call.path, params=call.query, headers=headers, content=content, timeout=timeout
        )


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(CHUNK):
            yield piece


class Client:
    """FRADECT over HTTP. Thread-safe; keeps connections, so make one and close it, or use it in a `with`."""

    def __init__(  # noqa: PLR0913  by name
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        token: Token | None = None,
        timeout: float = USUAL_TIMEOUT,
        retry: Retry = USUAL,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        http = httpx.Client(base_url=base_url, headers=USER_AGENT, transport=transport)
        self._sender = _Sender(http, Access(api_key, token), Waiting(timeout, retry))
        self.decisions = Decisions(self._sender)
        self.batch = Batch(self._sender)
        self.customers = Customers(self._sender)
        self.webhooks = Webhooks(self._sender)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._sender.http.close()

    def score(
        self,
        transaction: types.TransactionLike,
        *,
        channel: str | None = None,
        include_factors: bool = True,
        idempotency_key: str | None = None,
    ) -> types.Answer:
        """Decide a purchase. Safe to repeat: the same transaction gets the same answer."""
        asked = Scoring(channel=channel, include_factors=include_factors, idempotency_key=idempotency_key)
        return self._sender.send(calls.score(transaction, asked))

    def score_later(
        self,
        transaction: types.TransactionLike,
        *,
        channel: str | None = None,
        include_factors: bool = True,
        idempotency_key: str | None = None,
    ) -> types.Job:
        """Have it decided in the background: a batch of one, which webhooks tell of."""
        asked = Scoring(channel=channel, include_factors=include_factors, idempotency_key=idempotency_key)
        return self._sender.send(calls.score_later(transaction, asked))

    def health(self) -> types.Health:
        return self._sender.send(calls.health())

    def ready(self) -> types.Readiness:
        """Also where it is not ready."""
        return self._sender.send(calls.ready())

    def metrics(self) -> str:
        return self._sender.send(calls.metrics())

    def openapi(self) -> dict[str, Any]:
        return self._sender.send(calls.openapi())


class Decisions:
    """Decisions that were made."""

    def __init__(self, sender: _Sender) -> None:
        self._sender = sender

    def get(self, decision_id: str) -> types.Decision:
        return self._sender.send(calls.get_decision(decision_id))

    def list(
        self,
        chosen: Filter = ALL,
        *,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> types.DecisionPage:
        """One page, the newest first. Go on with its `next` until that is None."""
        return self._sender.send(calls.list_decisions(chosen, limit, cursor))

    def iterate(self, chosen: Filter = ALL) -> Iterator[types.DecisionSummary]:
        """All of them, page after page."""
        page = self.list(chosen)
        yield from page.decisions
        while page.next is not None:
            page = self.list(chosen, cursor=page.next)
            yield from page.decisions

    def tell_outcome(
        self, decision_id: str, outcome: types.Outcome, *, known_at: datetime | None = None, note: str | None = None
    ) -> types.Standing:
        """What it turned out to be. Told again, nothing changes; told otherwise, that is a correction."""
        return self._sender.send(calls.tell_outcome(decision_id, outcome, known_at, note))


class Batch:
    """Many at once, decided in the background."""

    def __init__(self, sender: _Sender) -> None:
        self._sender = sender

    def submit(
        self,
        items: Sequence[types.TransactionLike] | None = None,
        *,
        upload_id: str | None = None,
        include_factors: bool = False,
        idempotency_key: str | None = None,
    ) -> types.Job:
        """Up to 1,000 transactions, or a file that was uploaded."""
        return self._sender.send(calls.submit_batch(items, upload_id, include_factors, idempotency_key))

    def upload(self, source: Path | bytes, *, file_format: types.FileFormat | None = None) -> types.Upload:
        """Send a file; its name says the format, if nothing else does. It is read as it is sent."""
        return self._sender.send(calls.upload(source, file_format))

    def delete_upload(self, upload_id: str) -> None:
        return self._sender.send(calls.delete_upload(upload_id))

    def jobs(self, *, limit: int | None = None, before: str | None = None) -> types.JobPage:
        return self._sender.send(calls.list_jobs(limit, before))

    def get(self, job_id: str) -> types.Job:
        return self._sender.send(calls.get_job(job_id))

    def cancel(self, job_id: str) -> types.Job:
        """Nothing more of it is decided."""
        return self._sender.send(calls.cancel_job(job_id))

    def wait(self, job_id: str, *, timeout: float = 600.0) -> types.Job:
        """The job once it is over, however it ended. StillProcessing after so many seconds."""
        ends, (pause, most) = time.monotonic() + timeout, BATCH_PAUSES
        while not (job := self.get(job_id)).is_over:
            if time.monotonic() + pause > ends:
                raise StillProcessing(f"{job_id} has {job.done} of {job.total} rows after {timeout:g} s")
            time.sleep(pause)
            pause = min(most, pause * 1.5)
        return job

    def results(self, job_id: str) -> Iterator[types.RowResult]:
        """What came of every row, in their order, as it comes."""
        with self._sender.stream(calls.job_result(job_id, "ndjson")) as response:
            for line in response.iter_lines():
                yield _read_row(line, job_id)

    def download(self, job_id: str, file: Path, *, file_format: types.ResultFormat = "ndjson") -> Path:
        """The same as a file, which is there once all of it is."""
        part = file.with_name(f"{file.name}.part")
        with self._sender.stream(calls.job_result(job_id, file_format)) as response, part.open("wb") as opened:
            for piece in response.iter_bytes():
                opened.write(piece)
        return part.replace(file)


def _read_row(line: str, job_id: str) -> types.RowResult:
    try:
        return _row(line.encode())
    except msgspec.DecodeError as error:
        raise UnexpectedAnswer(f"the result of {job_id} has a line that is none of FRADECT's: {error}") from error


class Customers:
    """Whom decisions are about."""

    def __init__(self, sender: _Sender) -> None:
        self._sender = sender

    def risk_profile(self, customer_id: str) -> profiles.RiskProfile:
        return self._sender.send(calls.risk_profile(customer_id))

    def export(self, customer_id: str) -> profiles.CustomerExport:
        """Everything that is held, personal fields in clear."""
        return self._sender.send(calls.export_customer(customer_id))

    def delete(self, customer_id: str) -> profiles.Receipt:
        """Destroy the customer's keys, features and live state. This cannot be undone."""
        return self._sender.send(calls.erase_customer(customer_id))


class Webhooks:
    """Who is told of decisions."""

    def __init__(self, sender: _Sender) -> None:
        self._sender = sender

    def register(
        self, url: str, events: Sequence[types.EventName], *, secret: str | None = None, description: str = ""
    ) -> types.WebhookWithSecret:
        """Keep the secret: it is shown this once. Not sent again when its answer is lost: look at `list` then."""
        return self._sender.send(calls.register_webhook(url, events, secret, description))

    def list(self) -> tuple[types.Webhook, ...]:
        return self._sender.send(calls.list_webhooks()).webhooks

    def get(self, webhook_id: str) -> types.Webhook:
        return self._sender.send(calls.get_webhook(webhook_id))

    def delete(self, webhook_id: str) -> None:
        return self._sender.send(calls.delete_webhook(webhook_id))

    def rotate_secret(
        self, webhook_id: str, *, overlap_seconds: int = 86_400, secret: str | None = None
    ) -> types.WebhookWithSecret:
        """A new secret; for so long the one before it signs as well."""
        return self._sender.send(calls.rotate_secret(webhook_id, overlap_seconds, secret))

    def disable(self, webhook_id: str) -> types.Webhook:
        return self._sender.send(calls.disable_webhook(webhook_id))

    def enable(self, webhook_id: str) -> types.Webhook:
        return self._sender.send(calls.enable_webhook(webhook_id))

    def test(self, webhook_id: str) -> types.Delivery:
        return self._sender.send(calls.test_webhook(webhook_id))

    def deliveries(
        self,
        webhook_id: str,
        *,
        state: types.DeliveryState | None = None,
        limit: int | None = None,
        before: str | None = None,
    ) -> types.DeliveryPage:
        return self._sender.send(calls.list_deliveries(webhook_id, state, limit, before))

    def replay(self, webhook_id: str, delivery_id: str) -> types.Delivery:
        """Try a dead delivery again."""
        return self._sender.send(calls.replay_delivery(webhook_id, delivery_id))
