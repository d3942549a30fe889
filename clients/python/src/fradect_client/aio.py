"""The asynchronous client, on asyncio: the methods of the synchronous one under the same names."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
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

    def __init__(self, http: httpx.AsyncClient, access: Access, waiting: Waiting) -> None:
        self.http, self._access, self._waiting = http, access, waiting

    async def send(self, call: Call[T]) -> T:
        attempts = Attempts(call, self._waiting.retry)
        while True:
            try:
                response = await self.http.send(self._request(call, attempts))
            except httpx.TransportError as failure:
                pause: float | None = attempts.after_failure(failure)
            else:
                pause = attempts.after(response)
                if pause is None:
                    return result(call, response)
            await asyncio.sleep(pause or 0.0)

    @asynccontextmanager
    async def stream(self, call: Call[Any]) -> AsyncIterator[httpx.Response]:
        """An answer of success whose body is still to be read."""
        attempts = Attempts(call, self._waiting.retry)
        while True:
            try:
                response = await self.http.send(self._request(call, attempts), stream=True)
                if response.is_error:
                    await response.aread()
            except httpx.TransportError as failure:
                pause: float | None = attempts.after_failure(failure)
            else:
                pause = attempts.after(response)
                if pause is None:
                    break
            await asyncio.sleep(pause or 0.0)
        try:
            yield response
        except httpx.TransportError as failure:
            raise ConnectionFailed(f"{call.path} ended before all of it was there: {failure}") from failure
        finally:
            await response.aclose()

    def _request(self, call: Call[Any], attempts: Attempts) -> httpx.Request:
        headers = {**call.headers, **self._access.headers()}
        content = _pieces(call.body) if isinstance(call.body, Path) else call.body
        timeout = attempts.timeout(self._waiting.timeout)
        return self.http.build_request(
            call.method, call.path, params=call.query, headers=headers, content=content, timeout=timeout
        )


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        while piece := await asyncio.to_thread(opened.read, CHUNK):
            yield piece


class AsyncClient:
    """FRADECT over HTTP. For one event loop; keeps connections: make one, close it or use it in an `async with`."""

    def __init__(  # noqa: PLR0913  by name
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        token: Token | None = None,
        timeout: float = USUAL_TIMEOUT,
        retry: Retry = USUAL,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        http = httpx.AsyncClient(base_url=base_url, headers=USER_AGENT, transport=transport)
        self._sender = _Sender(http, Access(api_key, token), Waiting(timeout, retry))
        self.decisions = Decisions(self._sender)
        self.batch = Batch(self._sender)
        self.customers = Customers(self._sender)
        self.webhooks = Webhooks(self._sender)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._sender.http.aclose()

    async def score(
        self,
        transaction: types.TransactionLike,
        *,
        channel: str | None = None,
        include_factors: bool = True,
        idempotency_key: str | None = None,
    ) -> types.Answer:
        """Decide a purchase. Safe to repeat: the same transaction gets the same answer."""
        asked = Scoring(channel=channel, include_factors=include_factors, idempotency_key=idempotency_key)
        return await self._sender.send(calls.score(transaction, asked))

    async def score_later(
        self,
        transaction: types.TransactionLike,
        *,
        channel: str | None = None,
        include_factors: bool = True,
        idempotency_key: str | None = None,
    ) -> types.Job:
        """Have it decided in the background: a batch of one, which webhooks tell of."""
        asked = Scoring(channel=channel, include_factors=include_factors, idempotency_key=idempotency_key)
        return await self._sender.send(calls.score_later(transaction, asked))

    async def health(self) -> types.Health:
        return await self._sender.send(calls.health())

    async def ready(self) -> types.Readiness:
        """Also where it is not ready."""
        return await self._sender.send(calls.ready())

    async def metrics(self) -> str:
        return await self._sender.send(calls.metrics())

    async def openapi(self) -> dict[str, Any]:
        return await self._sender.send(calls.openapi())


class Decisions:
    """Decisions that were made."""

    def __init__(self, sender: _Sender) -> None:
        self._sender = sender

    async def get(self, decision_id: str) -> types.Decision:
        return await self._sender.send(calls.get_decision(decision_id))

    async def list(
        self,
        chosen: Filter = ALL,
        *,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> types.DecisionPage:
        """One page, the newest first. Go on with its `next` until that is None."""
        return await self._sender.send(calls.list_decisions(chosen, limit, cursor))

    async def iterate(self, chosen: Filter = ALL) -> AsyncIterator[types.DecisionSummary]:
        """All of them, page after page."""
        page = await self.list(chosen)
        for one in page.decisions:
            yield one
        while page.next is not None:
            page = await self.list(chosen, cursor=page.next)
            for one in page.decisions:
                yield one

    async def tell_outcome(
        self, decision_id: str, outcome: types.Outcome, *, known_at: datetime | None = None, note: str | None = None
    ) -> types.Standing:
        """What it turned out to be. Told again, nothing changes; told otherwise, that is a correction."""
        return await self._sender.send(calls.tell_outcome(decision_id, outcome, known_at, note))


class Batch:
    """Many at once, decided in the background."""

    def __init__(self, sender: _Sender) -> None:
        self._sender = sender

    async def submit(
        self,
        items: Sequence[types.TransactionLike] | None = None,
        *,
        upload_id: str | None = None,
        include_factors: bool = False,
        idempotency_key: str | None = None,
    ) -> types.Job:
        """Up to 1,000 transactions, or a file that was uploaded."""
        return await self._sender.send(calls.submit_batch(items, upload_id, include_factors, idempotency_key))

    async def upload(self, source: Path | bytes, *, file_format: types.FileFormat | None = None) -> types.Upload:
        """Send a file; its name says the format, if nothing else does. It is read as it is sent."""
        return await self._sender.send(calls.upload(source, file_format))

    async def delete_upload(self, upload_id: str) -> None:
        return await self._sender.send(calls.delete_upload(upload_id))

    async def jobs(self, *, limit: int | None = None, before: str | None = None) -> types.JobPage:
        return await self._sender.send(calls.list_jobs(limit, before))

    async def get(self, job_id: str) -> types.Job:
        return await self._sender.send(calls.get_job(job_id))

    async def cancel(self, job_id: str) -> types.Job:
        """Nothing more of it is decided."""
        return await self._sender.send(calls.cancel_job(job_id))

    async def wait(self, job_id: str, *, timeout: float = 600.0) -> types.Job:
        """The job once it is over, however it ended. StillProcessing after so many seconds."""
        ends, (pause, most) = time.monotonic() + timeout, BATCH_PAUSES
        while not (job := await self.get(job_id)).is_over:
            if time.monotonic() + pause > ends:
                raise StillProcessing(f"{job_id} has {job.done} of {job.total} rows after {timeout:g} s")
            await asyncio.sleep(pause)
            pause = min(most, pause * 1.5)
        return job

    async def results(self, job_id: str) -> AsyncIterator[types.RowResult]:
        """What came of every row, in their order, as it comes."""
        async with self._sender.stream(calls.job_result(job_id, "ndjson")) as response:
            async for line in response.aiter_lines():
                yield _read_row(line, job_id)

    async def download(self, job_id: str, file: Path, *, file_format: types.ResultFormat = "ndjson") -> Path:
        """The same as a file, which is there once all of it is."""
        part = file.with_name(f"{file.name}.part")
        async with self._sender.stream(calls.job_result(job_id, file_format)) as response:
            with part.open("wb") as opened:
                async for piece in response.aiter_bytes():
                    await asyncio.to_thread(opened.write, piece)
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

    async def risk_profile(self, customer_id: str) -> profiles.RiskProfile:
        return await self._sender.send(calls.risk_profile(customer_id))

    async def export(self, customer_id: str) -> profiles.CustomerExport:
        """Everything that is held, personal fields in clear."""
        return await self._sender.send(calls.export_customer(customer_id))

    async def delete(self, customer_id: str) -> profiles.Receipt:
        """Destroy the customer's keys, features and live state. This cannot be undone."""
        return await self._sender.send(calls.erase_customer(customer_id))


class Webhooks:
    """Who is told of decisions."""

    def __init__(self, sender: _Sender) -> None:
        self._sender = sender

    async def register(
        self, url: str, events: Sequence[types.EventName], *, secret: str | None = None, description: str = ""
    ) -> types.WebhookWithSecret:
        """Keep the secret: it is shown this once. Not sent again when its answer is lost: look at `list` then."""
        return await self._sender.send(calls.register_webhook(url, events, secret, description))

    async def list(self) -> tuple[types.Webhook, ...]:
        return (await self._sender.send(calls.list_webhooks())).webhooks

    async def get(self, webhook_id: str) -> types.Webhook:
        return await self._sender.send(calls.get_webhook(webhook_id))

    async def delete(self, webhook_id: str) -> None:
        return await self._sender.send(calls.delete_webhook(webhook_id))

    async def rotate_secret(
        self, webhook_id: str, *, overlap_seconds: int = 86_400, secret: str | None = None
    ) -> types.WebhookWithSecret:
        """A new secret; for so long the one before it signs as well."""
        return await self._sender.send(calls.rotate_secret(webhook_id, overlap_seconds, secret))

    async def disable(self, webhook_id: str) -> types.Webhook:
        return await self._sender.send(calls.disable_webhook(webhook_id))

    async def enable(self, webhook_id: str) -> types.Webhook:
        return await self._sender.send(calls.enable_webhook(webhook_id))

    async def test(self, webhook_id: str) -> types.Delivery:
        return await self._sender.send(calls.test_webhook(webhook_id))

    async def deliveries(
        self,
        webhook_id: str,
        *,
        state: types.DeliveryState | None = None,
        limit: int | None = None,
        before: str | None = None,
    ) -> types.DeliveryPage:
        return await self._sender.send(calls.list_deliveries(webhook_id, state, limit, before))

    async def replay(self, webhook_id: str, delivery_id: str) -> types.Delivery:
        """Try a dead delivery again."""
        return await self._sender.send(calls.replay_delivery(webhook_id, delivery_id))
