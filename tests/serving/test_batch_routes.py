"""Batches over HTTP: items and files become jobs, every row gets what a request would, nothing is anybody else's."""

import asyncio
import csv
import io
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fradect.adapters.decision_reads import DecisionReads
from fradect.adapters.keys import ApiKeys
from fradect.adapters.shared_sql import open_shared
from fradect.permissions import ROLES
from fradect.reproduce import Wanted
from serving.app import create
from serving.wiring import Service
from tests.factories_decision import body
from tests.serving.conftest import SCORE, promote, settings_of

T = TypeVar("T")
JOBS, BATCH, UPLOADS = "/api/v1/batch/jobs", "/api/v1/batch/score", "/api/v1/batch/uploads"
HEADER = "transaction.transaction_id,transaction.amount,transaction.currency,transaction.customer_id,context.channel"


class Working:
    """A service that works on batches, on a loop of its own."""

    def __init__(self, home: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.service = Service(settings_of(home))
        wired = self.service.start()
        self.app = create(wired)
        self.service.work(wired, lambda: self.loop)
        self.key = (home / "keys" / "api-key").read_text().strip()

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(60)

    def ask(self, method: str, path: str, *, key: str = "", **request: Any) -> httpx.Response:
        async def asking() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                headers = {"X-API-Key": key or self.key} | request.pop("headers", {})
                return await client.request(method, path, headers=headers, **request)

        return self.run(asking())

    def upload(self, content: bytes, kind: str, **request: Any) -> httpx.Response:
        return self.ask("POST", UPLOADS, content=content, headers={"Content-Type": kind}, **request)

    def job_of(self, content: bytes, kind: str) -> dict[str, Any]:
        sent = self.upload(content, kind)
        assert sent.status_code == 201, sent.text
        return self.done(self.ask("POST", BATCH, json={"upload_id": sent.json()["upload_id"]}))

    def done(self, submitted: httpx.Response) -> dict[str, Any]:
        assert submitted.status_code == 202, submitted.text
        deadline = time.monotonic() + 30
        while (job := self.ask("GET", submitted.headers["location"]).json())["status"] == "PROCESSING":
            assert time.monotonic() < deadline, job
            time.sleep(0.05)
        return dict(job)

    def rows(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in self.ask("GET", job["result"]).content.splitlines()]

    def close(self) -> None:
        self.service.close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def working(tmp_path: Path) -> Iterator[Working]:
    promote(tmp_path)
    service = Working(tmp_path)
    yield service
    service.close()


def test_items_are_decided_as_requests_are_and_a_bad_one_stops_nothing(working: Working, tmp_path: Path) -> None:
    brief = {"type": "transaction", "data": body("b")["transaction"]}
    wrong = [body("c", amount=-5), {"type": "customer", "data": {}}, body("d", surprise=1)]
    job = working.done(working.ask("POST", BATCH, json={"items": [body("a"), brief, *wrong]}))
    assert (job["status"], job["total"], job["done"], job["rejected"], job["progress"]) == ("COMPLETED", 5, 5, 3, 1.0)
    assert sum(job["decisions"].values()) == 2
    rows = working.rows(job)
    assert [row["row"] for row in rows] == [1, 2, 3, 4, 5]
    assert rows[0]["answer"] == working.ask("POST", SCORE, json=body("a") | {"options": NO_FACTORS}).json()
    assert [row["problem"]["field"] for row in rows[2:]] == ["transaction.amount", "type", "transaction.surprise"]
    assert [row["transaction_id"] for row in rows[2:]] == ["c", None, "d"]
    decided = DecisionReads.at(f"sqlite:///{tmp_path}/ledger.db").listed(Wanted(), 10)
    assert {kept.decision.event_id for kept in decided} == {"a", "b"}


NO_FACTORS = {"include_factors": False}


def test_every_format_gives_the_same_decisions(working: Working) -> None:
    rows = [(f"{n}", 1000 + n, "RUB", "c1", "web") for n in range(30)]
    named = dict(zip(HEADER.split(","), zip(*rows, strict=True), strict=True))
    held = io.BytesIO()
    pq.write_table(pa.table({name: list(values) for name, values in named.items()}), held, row_group_size=7)
    text = "\ufeff" + HEADER + "\r\n" + "".join(",".join(map(str, row)) + "\r\n" for row in rows)
    lines = b"".join(msgspec.json.encode(_item(*row)) + b"\n" for row in rows)
    first = working.job_of(text.encode(), "text/csv")
    assert (first["done"], first["rejected"]) == (30, 0)
    for content, kind in ((held.getvalue(), "application/vnd.apache.parquet"), (lines, "application/x-ndjson")):
        again = working.job_of(content, kind)
        assert working.rows(again) == working.rows(first), "the ids are the same, so the decisions are"


def _item(event_id: str, amount: int, currency: str, customer: str, channel: str) -> dict[str, Any]:
    bought = {"transaction_id": event_id, "amount": amount, "currency": currency, "customer_id": customer}
    return {"transaction": bought, "context": {"channel": channel}}


def test_a_result_as_csv_holds_no_formula(working: Working) -> None:
    job = working.job_of(f"{HEADER}\n=cmd(),1,RUB,c1,\n@x,1,RUB,c1,\nok,1,EUR,c1,\n".encode(), "text/csv")
    told = working.ask("GET", job["result"], params={"format": "csv"})
    assert told.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(told.text)))
    assert [row["transaction_id"] for row in rows] == ["'=cmd()", "'@x", "ok"]
    assert [row["problem"] for row in rows] == ["", "", "urn:fradect:problem:invalid-input"]
    assert rows[2]["field"] == "transaction.currency"


def test_one_request_can_be_answered_later(working: Working) -> None:
    later = {"async": True, "include_factors": True}
    accepted = working.ask("POST", SCORE, json=body("later") | {"options": later}, headers={"Idempotency-Key": "k"})
    again = working.ask("POST", SCORE, json=body("later") | {"options": later}, headers={"Idempotency-Key": "k"})
    assert again.json()["job_id"] == accepted.json()["job_id"]
    (row,) = working.rows(working.done(accepted))
    assert row["answer"]["factors"]
    assert row["answer"] == working.ask("POST", SCORE, json=body("later")).json()
    other = working.ask("POST", SCORE, json=body("x") | {"options": later}, headers={"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["type"]) == (422, "urn:fradect:problem:different-body")
    wrong = working.ask("POST", SCORE, json=body("wrong", amount="1") | {"options": later})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "transaction.amount")


def test_a_job_is_its_tenants_alone(working: Working, tmp_path: Path) -> None:
    job = working.done(working.ask("POST", BATCH, json={"items": [body("a")]}))
    sent = working.upload(b'{"transaction":{}}\n', "application/x-ndjson").json()["upload_id"]
    stranger = _key(tmp_path, "stranger", working)
    for method, path in (
        ("GET", f"{JOBS}/{job['job_id']}"),
        ("GET", f"{JOBS}/{job['job_id']}/result"),
        ("POST", f"{JOBS}/{job['job_id']}/cancel"),
        ("DELETE", f"{JOBS}/{job['job_id']}"),
        ("DELETE", f"{UPLOADS}/{sent}"),
    ):
        assert working.ask(method, path, key=stranger).status_code == 404
    assert working.ask("POST", BATCH, key=stranger, json={"upload_id": sent}).status_code == 404
    assert working.ask("GET", JOBS, key=stranger).json()["jobs"] == []
    assert [one["job_id"] for one in working.ask("GET", JOBS).json()["jobs"]] == [job["job_id"]]


def _key(home: Path, tenant: str, working: Working) -> str:
    engine = open_shared(f"sqlite:///{home}/ledger.db")
    ApiKeys(engine, home / "keys").first(tenant, time.time_ns() // 1000)
    engine.dispose()
    working.service._keys.reload()
    return (home / "keys" / f"api-key-{tenant}").read_text().strip()


def test_an_upload_is_one_jobs_and_goes_with_it(working: Working, tmp_path: Path) -> None:
    sent = working.upload(f"{HEADER}\nu1,1,RUB,c1,\n".encode(), "text/csv").json()
    assert (sent["format"], sent["rows"]) == ("csv", 1)
    first = working.ask("POST", BATCH, json={"upload_id": sent["upload_id"]})
    again = working.ask("POST", BATCH, json={"upload_id": sent["upload_id"]})
    assert first.json()["job_id"] == again.json()["job_id"]
    other = working.ask("POST", BATCH, json={"upload_id": sent["upload_id"], "options": {"include_factors": True}})
    assert other.status_code == 422
    working.done(first)
    assert list((tmp_path / "batch").iterdir()) == []
    dropped = working.upload(b"{}\n", "application/x-ndjson").json()["upload_id"]
    assert working.ask("DELETE", f"{UPLOADS}/{dropped}").status_code == 204
    assert working.ask("DELETE", f"{UPLOADS}/{dropped}").status_code == 404
    assert list((tmp_path / "batch").iterdir()) == []


def test_nothing_personal_lies_on_the_disk_in_clear(working: Working, tmp_path: Path) -> None:
    canary = "canary-7f3a@example.org"
    lines = msgspec.json.encode(body("p", customer={"email": canary, "full_name": "Canary Person"}))
    assert working.upload(lines * 1, "application/x-ndjson").status_code == 201
    working.done(working.ask("POST", BATCH, json={"items": [body("q", customer={"email": canary})]}))
    bad = body("r", customer={"email": canary}, merchant_id="4111 1111 1111 1111")
    job = working.done(working.ask("POST", BATCH, json={"items": [bad]}))
    assert job["rejected"] == 1
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [
        str(path) for path in files if b"canary-7f3a" in path.read_bytes() or b"Canary Per" in path.read_bytes()
    ]


@pytest.mark.parametrize(
    ("content", "kind", "status", "field"),
    [
        (b"", "text/csv", 422, "file"),
        (b"a,b\n1,2\n", "text/csv", 422, "columns"),
        (b"transaction.amount\n1\n", "text/csv", 422, "columns"),
        (HEADER.encode() + b",transaction.amount\n", "text/csv", 422, "columns"),
        (b"\xff\xfe,\n", "text/csv", 422, "columns"),
        (b"PAR1" + bytes(40), "application/vnd.apache.parquet", 422, "file"),
        (b"PAR1" + bytes(40) + b"PAR1", "application/vnd.apache.parquet", 422, "file"),
        (HEADER.encode(), "application/vnd.apache.parquet", 422, "file"),
        (b"[]", "application/x-ndjson", 422, "file"),
        (b"PK\x03\x04", "application/zip", 415, None),
    ],
)
def test_a_file_that_is_none_is_refused_and_leaves_nothing(  # noqa: PLR0917  one case a line
    working: Working, tmp_path: Path, content: bytes, kind: str, status: int, field: str | None
) -> None:
    answer = working.upload(content, kind)
    assert (answer.status_code, answer.json().get("field")) == (status, field), answer.text
    assert not (tmp_path / "batch").exists() or list((tmp_path / "batch").iterdir()) == []
    for _ in range(6):  # nor does it count as one that is under way
        assert working.upload(content, kind).status_code == status


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({}, 422),
        ({"items": []}, 422),
        ({"items": [1]}, 422),
        ({"items": [{}] * 1001}, 422),
        ({"items": [{}], "upload_id": "upl_0000000000000000"}, 422),
        ({"upload_id": "../../etc/passwd"}, 404),
        ({"upload_id": "upl_00000000000000000"}, 404),
        ({"items": [{}], "module": "nothing"}, 422),
        ({"items": [{}], "tenant_id": "x"}, 422),
        ({"items": [{"transaction": {"customer_id": "x" * 600_000}}]}, 413),
        ({"items": [{}] * 500_000}, 413),
    ],
)
def test_what_is_no_batch_is_refused(working: Working, asked: dict[str, Any], status: int) -> None:
    answer = working.ask("POST", BATCH, json=asked)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_job_that_is_cancelled_keeps_what_was_written_down(working: Working) -> None:
    lines = b"".join(msgspec.json.encode(_item(f"t{n}", 1, "RUB", "c1", "web")) + b"\n" for n in range(3_000))
    sent = working.upload(lines, "application/x-ndjson").json()
    job_id = working.ask("POST", BATCH, json={"upload_id": sent["upload_id"]}).json()["job_id"]
    _until(lambda: working.ask("GET", f"{JOBS}/{job_id}").json()["done"] > 0)
    early = working.ask("GET", f"{JOBS}/{job_id}/result")
    assert early.status_code == 409
    cancelled = working.ask("POST", f"{JOBS}/{job_id}/cancel").json()
    assert (cancelled["status"], cancelled["estimated_completion"]) == ("CANCELLED", None)
    time.sleep(0.3)
    job = working.ask("GET", f"{JOBS}/{job_id}").json()
    assert 0 < job["done"] == cancelled["done"] < 3_000
    assert len(working.rows(job)) == job["done"]
    done = working.done(working.ask("POST", BATCH, json={"items": [body("a")]}))
    assert working.ask("POST", f"{JOBS}/{done['job_id']}/cancel").status_code == 409


def _until(is_so: Callable[[], bool], patience: float = 20.0) -> None:
    deadline = time.monotonic() + patience
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_progress_says_how_fast_and_until_when(working: Working) -> None:
    lines = b"".join(msgspec.json.encode(_item(f"t{n}", 1, "RUB", "c1", "web")) + b"\n" for n in range(1_500))
    sent = working.upload(lines, "application/x-ndjson").json()
    answer = working.ask("POST", BATCH, json={"upload_id": sent["upload_id"]})
    _until(lambda: working.ask("GET", answer.headers["location"]).json()["done"] > 0)
    job = working.ask("GET", answer.headers["location"]).json()
    assert job["items_per_second"] > 10
    assert job["estimated_completion"] > job["started_at"] >= job["created_at"]
    assert job["total"] == 1_500
    assert working.done(answer)["rejected"] == 0
    working.service._batch.show()
    text = working.ask("GET", "/metrics").text
    assert "fradect_batch_jobs_waiting 0.0" in text
    assert 'fradect_batch_rows_total{result="rejected"} 0.0' in text


def test_who_may_only_read_does_not_submit(working: Working) -> None:
    assert "write:transactions" not in ROLES["analyst"]
    assert working.ask("GET", JOBS, key="nobody").status_code == 401
