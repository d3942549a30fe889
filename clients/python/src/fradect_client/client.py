"""The synchronous client. The asynchronous one has the same methods under the same names.

What a method takes and returns stands in `calls`.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from fradect_client import calls, profiles, release_calls, releases, types
from fradect_client.call import Call
from fradect_client.calls import ALL, Filter
from fradect_client.retries import USUAL, Attempts, Retry, result
from fradect_client.sending import Looks, as_described, ended_early, request_of
from fradect_client.settings import CHUNK, USER_AGENT, USUAL_TIMEOUT, Access, Token, Waiting

P = ParamSpec("P")
T = TypeVar("T")


class _Sender:
    """Sends calls until they are answered or their deadline is near."""

    def __init__(self, http: httpx.Client, access: Access, waiting: Waiting) -> None:
        self.http, self._access, self._waiting = http, access, waiting

    def send(self, call: Call[T]) -> T:
        return result(call, self._answered(call))

    @contextmanager
    def stream(self, call: Call[Any]) -> Iterator[httpx.Response]:
        """An answer of success whose body is still to be read."""
        response = self._answered(call, streamed=True)
        try:
            yield response
        except httpx.TransportError as failure:
            raise ended_early(call, failure) from failure
        finally:
            response.close()

    def _answered(self, call: Call[Any], *, streamed: bool = False) -> httpx.Response:
        attempts = Attempts(call, self._waiting.retry)
        while True:
            content = _pieces(call.body) if isinstance(call.body, Path) else call.body
            asked = request_of(self.http, call, self._access, content, attempts.timeout(self._waiting.timeout))
            try:
                response = self.http.send(asked, stream=streamed)
                if response.is_error:
                    response.read()
            except httpx.TransportError as failure:
                pause: float | None = attempts.after_failure(failure)
            else:
                pause = attempts.after(response)
                if pause is None:
                    return response
            time.sleep(pause or 0.0)


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(CHUNK):
            yield piece


class _Sending:
    def __init__(self, sender: _Sender) -> None:
        self._sender = sender


def _sends(call: Callable[P, Call[T]]) -> Callable[Concatenate[_Sending, P], T]:
    """The method that sends what `call` makes."""

    def send(self: _Sending, /, *args: P.args, **given: P.kwargs) -> T:
        return self._sender.send(call(*args, **given))

    as_described(send, call)
    return send


class Client(_Sending):
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
        super().__init__(_Sender(http, Access(api_key, token), Waiting(timeout, retry)))
        self.decisions = Decisions(self._sender)
        self.batch = Batch(self._sender)
        self.customers = Customers(self._sender)
        self.webhooks = Webhooks(self._sender)
        self.releases = Releases(self._sender)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._sender.http.close()

    score = _sends(calls.score)
    score_later = _sends(calls.score_later)
    health = _sends(calls.health)
    ready = _sends(calls.ready)
    metrics = _sends(calls.metrics)
    openapi = _sends(calls.openapi)


class Decisions(_Sending):
    """Decisions that were made."""

    get = _sends(calls.get_decision)
    list = _sends(calls.list_decisions)
    tell_outcome = _sends(calls.tell_outcome)

    def iterate(self, chosen: Filter = ALL) -> Iterator[types.DecisionSummary]:
        """All of them, page after page."""
        page = self.list(chosen)
        yield from page.decisions
        while page.next is not None:
            page = self.list(chosen, cursor=page.next)
            yield from page.decisions


class Batch(_Sending):
    """Many at once, decided in the background."""

    submit = _sends(calls.submit_batch)
    upload = _sends(calls.upload)
    delete_upload = _sends(calls.delete_upload)
    jobs = _sends(calls.list_jobs)
    get = _sends(calls.get_job)
    cancel = _sends(calls.cancel_job)

    def wait(self, job_id: str, *, timeout: float = 600.0) -> types.Job:
        """The job once it is over, however it ended. StillProcessing after so many seconds."""
        looks = Looks(timeout)
        while not (job := self.get(job_id)).is_over:
            time.sleep(looks.pause_after(job))
        return job

    def results(self, job_id: str) -> Iterator[types.RowResult]:
        """What came of every row, in their order, as it comes."""
        with self._sender.stream(calls.job_result(job_id, "ndjson")) as response:
            for line in response.iter_lines():
                yield calls.row_of(line, job_id)

    def download(self, job_id: str, file: Path, *, file_format: types.ResultFormat = "ndjson") -> Path:
        """The same as a file, which is there once all of it is."""
        part = file.with_name(f"{file.name}.part")
        with self._sender.stream(calls.job_result(job_id, file_format)) as response, part.open("wb") as opened:
            for piece in response.iter_bytes():
                opened.write(piece)
        return part.replace(file)


class Customers(_Sending):
    """Whom decisions are about."""

    risk_profile = _sends(calls.risk_profile)
    export = _sends(calls.export_customer)

    def export_pages(self, customer_id: str) -> Iterator[profiles.CustomerExport]:
        """All of it, page after page."""
        page = self.export(customer_id)
        yield page
        while page.next is not None:
            page = self.export(customer_id, cursor=page.next)
            yield page

    delete = _sends(calls.erase_customer)


class Webhooks(_Sending):
    """Who is told of decisions."""

    register = _sends(calls.register_webhook)
    list = _sends(calls.list_webhooks)
    get = _sends(calls.get_webhook)
    delete = _sends(calls.delete_webhook)
    rotate_secret = _sends(calls.rotate_secret)
    disable = _sends(calls.disable_webhook)
    enable = _sends(calls.enable_webhook)
    test = _sends(calls.test_webhook)
    deliveries = _sends(calls.list_deliveries)
    replay = _sends(calls.replay_delivery)


class Releases(_Sending):
    """Who decides, and the way back."""

    rollout = _sends(release_calls.get_rollout)
    list = _sends(release_calls.list_rollouts)
    roll_back = _sends(release_calls.roll_back)
    approval = _sends(release_calls.say_to_proposal)

    def history(self, *, module: str = release_calls.ECOMMERCE) -> Iterator[releases.PastRollout]:
        """All steps so far, page after page, the newest first."""
        page = self.list(module=module)
        yield from page.history
        while page.next is not None:
            page = self.list(module=module, before=page.next)
            yield from page.history
