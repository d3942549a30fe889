"""What is sent again, when, and under which key: both clients, against answers that are made up."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from fradect_client import (
    NO_RETRY,
    AsyncClient,
    Client,
    ConnectionFailed,
    Forbidden,
    InvalidArgument,
    InvalidInput,
    NotFound,
    ProblemError,
    RateLimited,
    Retry,
    StillProcessing,
    Unavailable,
    UnexpectedAnswer,
)
from fradect_client.errors import seconds_of
from serving.openapi_examples import EXAMPLES

PURCHASE = {"transaction_id": "t", "amount": 1, "currency": "RUB", "customer_id": "c"}
PROMPT = Retry(deadline=2.0, first=0.001, most=0.002)
Reply = httpx.Response | Exception


def problem(status: int, name: str = "unavailable", **more: Any) -> httpx.Response:
    headers = {"content-type": "application/problem+json", **more.pop("headers", {})}
    told = {"type": f"urn:fradect:problem:{name}", "title": "T", "status": status, "detail": "d", "request_id": "req_1"}
    return httpx.Response(status, headers=headers, json=told | more)


def good(name: str = "Answer", status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=EXAMPLES[name])


class Replies:
    """Answers in their order, the last again and again; keeps what was asked."""

    def __init__(self, replies: Sequence[Reply]) -> None:
        self._replies = list(replies)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        if isinstance(reply, Exception):
            raise reply
        return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)


Ask = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Calls a method, named by a dotted path, of either client over made-up replies."""

    def of_sync(replies: Replies, method: str, *args: Any, retry: Retry = PROMPT, **given: Any) -> Any:
        with Client("http://x", api_key="k", retry=retry, transport=httpx.MockTransport(replies)) as client:
            return _method(client, method)(*args, **given)

    def of_async(replies: Replies, method: str, *args: Any, retry: Retry = PROMPT, **given: Any) -> Any:
        async def asking() -> Any:
            transport = httpx.MockTransport(replies)
            async with AsyncClient("http://x", api_key="k", retry=retry, transport=transport) as client:
                return await _method(client, method)(*args, **given)

        return asyncio.run(asking())

    return of_sync if request.param == "sync" else of_async


def _method(client: Any, path: str) -> Any:
    for name in path.split("."):
        client = getattr(client, name)
    return client


LOST = httpx.ReadError("cut")
UNSENT = httpx.ConnectError("refused")


@pytest.mark.parametrize(
    "first",
    [problem(503), problem(429, "rate-limited"), problem(409, "request-running"), httpx.Response(502), LOST, UNSENT],
    ids=str,
)
def test_a_score_is_sent_again_under_the_same_key(ask: Ask, first: Reply) -> None:
    replies = Replies([first, first, good()])
    assert ask(replies, "score", PURCHASE).decision == "REVIEW"
    keys = {request.headers["idempotency-key"] for request in replies.asked}
    assert len(replies.asked) == 3
    assert len(keys) == 1
    assert len({request.content for request in replies.asked}) == 1


def test_every_call_has_a_key_of_its_own_unless_one_is_given(ask: Ask) -> None:
    replies = Replies([good()])
    ask(replies, "score", PURCHASE)
    ask(replies, "score", PURCHASE)
    ask(replies, "score", PURCHASE, idempotency_key="mine")
    keys = [request.headers["idempotency-key"] for request in replies.asked]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (422, "invalid-input", InvalidInput),
        (403, "forbidden", Forbidden),
        (404, "not-found", NotFound),
        (429, "quota-exceeded", RateLimited),
        (500, "internal", ProblemError),
    ],
)
def test_what_stays_wrong_is_asked_once(ask: Ask, status: int, name: str, kind: type[ProblemError]) -> None:
    replies = Replies([problem(status, name, field="a.b")])
    with pytest.raises(kind) as raised:
        ask(replies, "score", PURCHASE)
    error = raised.value
    assert len(replies.asked) == 1
    assert (error.name, error.type, error.field) == (name, f"urn:fradect:problem:{name}", "a.b")
    assert (error.title, error.detail, error.request_id, error.problem.status) == ("T", "d", "req_1", status)


def test_what_cannot_be_repeated_is_sent_again_only_where_it_was_not_begun(ask: Ask) -> None:
    register = ("webhooks.register", "https://x", ["risk.decision.created"])
    for reply, kind in (
        (problem(503), Unavailable),
        (LOST, ConnectionFailed),
        (httpx.ReadTimeout("late"), ConnectionFailed),
    ):
        replies = Replies([reply, good("WebhookSecretOut", 201)])
        with pytest.raises(kind):
            ask(replies, *register)
        assert len(replies.asked) == 1
    for reply in (UNSENT, problem(503, "overloaded"), problem(429, "rate-limited")):
        replies = Replies([reply, good("WebhookSecretOut", 201)])
        assert "whsec_..." in repr(ask(replies, *register))
        assert len(replies.asked) == 2


def test_retry_after_is_waited_for(ask: Ask) -> None:
    replies = Replies([problem(503, headers={"Retry-After": "0.2"}), good()])
    began = time.monotonic()
    ask(replies, "score", PURCHASE)
    assert time.monotonic() - began >= 0.2


def test_no_pause_begins_that_would_end_after_the_deadline(ask: Ask) -> None:
    replies = Replies([problem(503, headers={"Retry-After": "60"})])
    began = time.monotonic()
    with pytest.raises(Unavailable) as raised:
        ask(replies, "score", PURCHASE)
    assert raised.value.retry_after == 60
    assert len(replies.asked) == 1
    assert time.monotonic() - began < 2


def test_the_deadline_ends_it(ask: Ask) -> None:
    replies = Replies([UNSENT])
    with pytest.raises(ConnectionFailed, match="POST /api/v1/ecommerce/score: refused"):
        ask(replies, "score", PURCHASE, retry=Retry(deadline=0.1, first=0.02, most=0.02))
    assert len(replies.asked) > 2
    once = Replies([UNSENT])
    with pytest.raises(ConnectionFailed):
        ask(once, "score", PURCHASE, retry=NO_RETRY)
    assert len(once.asked) == 1


def test_what_a_lost_try_deleted_was_deleted(ask: Ask) -> None:
    assert ask(Replies([LOST, problem(404, "not-found")]), "webhooks.delete", "wh_1") is None
    for first in ([], [UNSENT], [problem(429, "rate-limited")]):
        with pytest.raises(NotFound):
            ask(Replies([*first, problem(404, "not-found")]), "webhooks.delete", "wh_1")
    with pytest.raises(NotFound):
        ask(Replies([LOST, problem(404, "not-found")]), "customers.delete", "c")


def test_a_proxys_error_is_a_problem_too(ask: Ask) -> None:
    with pytest.raises(Unavailable) as raised:
        ask(Replies([httpx.Response(503, html="<h1>away</h1>")]), "decisions.get", "dec_1", retry=NO_RETRY)
    assert (raised.value.type, raised.value.title) == ("about:blank", "Service Unavailable")


def test_success_that_is_not_ours_says_so(ask: Ask) -> None:
    for content in (b"<html>", b"{}", b'{"status": 1}'):
        with pytest.raises(UnexpectedAnswer, match="GET /health answered 200"):
            ask(Replies([httpx.Response(200, content=content)]), "health")


def test_not_ready_is_an_answer(ask: Ask) -> None:
    told = ask(Replies([httpx.Response(503, json={"status": "starting", "reasons": ["it is"]})]), "ready")
    assert (told.status, told.reasons) == ("starting", ("it is",))


def test_a_batch_is_waited_for_no_longer_than_asked(ask: Ask) -> None:
    running, done = EXAMPLES["JobOut"], {**EXAMPLES["JobOut"], "status": "COMPLETED"}
    replies = Replies([httpx.Response(200, json=running), httpx.Response(200, json=done)])
    assert ask(replies, "batch.wait", "job_1").is_over
    with pytest.raises(StillProcessing, match="250 of 1000"):
        ask(Replies([httpx.Response(200, json=running)]), "batch.wait", "job_1", timeout=0.1)


def test_a_file_is_sent_whole_at_every_try(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(b"a,b\n" * 100_000)
    seen: list[tuple[int, str, str]] = []

    async def taken(request: httpx.Request) -> httpx.Response:
        body = await request.aread() if isinstance(request.stream, httpx.AsyncByteStream) else request.read()
        seen.append((len(body), request.headers["content-length"], request.headers["content-type"]))
        return problem(503) if len(seen) == 1 else good("UploadOut", 201)

    def sync_taken(request: httpx.Request) -> httpx.Response:
        seen.append((len(request.read()), request.headers["content-length"], request.headers["content-type"]))
        return problem(503) if len(seen) == 1 else good("UploadOut", 201)

    is_sync = ask.__name__ == "of_sync"
    assert ask(sync_taken if is_sync else taken, "batch.upload", file).rows == 1000
    assert seen == [(400_000, "400000", "text/csv")] * 2


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_an_id_leads_nowhere_else(ask: Ask, name: str) -> None:
    with pytest.raises(InvalidArgument):
        ask(Replies([good()]), "decisions.get", name)
    replies = Replies([problem(404, "not-found")])
    with pytest.raises(NotFound):
        ask(replies, "decisions.get", "../keys?x=1")
    assert replies.asked[0].url.raw_path == b"/api/v1/decisions/..%2Fkeys%3Fx%3D1"


def test_who_calls_is_one_and_is_not_shown() -> None:
    for given in ({}, {"api_key": "fdk_live_secret", "token": "t"}):
        with pytest.raises(InvalidArgument):
            Client("http://x", **given)
    tokens = iter(["one", "two"])
    replies = Replies([good("Health")])
    with Client("http://x", token=lambda: next(tokens), transport=httpx.MockTransport(replies)) as client:
        client.health()
        client.health()
        assert "one" not in repr(vars(client._sender))
    assert [request.headers["authorization"] for request in replies.asked] == ["Bearer one", "Bearer two"]


def test_retry_after_may_be_a_date() -> None:
    assert seconds_of(None) is None
    assert seconds_of("soon") is None
    assert seconds_of("1.5") == 1.5
    assert seconds_of("Wed, 21 Oct 2015 07:28:00 GMT") == 0
