"""The floor: Starlette on bare uvicorn, the least that a decision can be.

One raw Redis read, one prediction over XGBoost's C interface with a buffer that is used again, the release's rulebook
in zen, one row in a commit that requests share, an answer of as many bytes as ours. No authentication, nothing
validated, no windows computed, no chain, no outbox, no metrics, no factors.
"""

import asyncio
import ctypes
import json
import uuid
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import isnan
from pathlib import Path
from typing import Any

import asyncpg
import hiredis
import msgspec
import numpy as np
import xgboost as xgb
import zen
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.peer_facts import TABLE, facts
from fradect.adapters.online_address import RedisAddress, address_of

FACTS = facts()
NAMES = FACTS.names
UNKNOWN = np.full(len(NAMES), np.nan).tobytes()
LOADER: Any = {"type": "static", "content": {"rules": json.loads(Path(FACTS.rulebook).read_bytes())}}
RULES = zen.ZenEngine({"loader": LOADER})
ROWS = (
    "INSERT INTO floor (transaction_id, customer_id, score, decision, answer) "
    "SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[])"
)
AS_LONG_AS_OURS = {"release": "rel_0000000000000000", "request_id": "req_0000000000000000", "processing_time_ms": 1.234}
encode, decode = msgspec.json.Encoder().encode, msgspec.json.Decoder().decode
Row = tuple[str, str, int, str, str]


class Prediction:
    """A booster's probability of one row, over the C interface."""

    def __init__(self, model: str) -> None:
        self._booster = xgb.Booster()
        self._booster.load_model(model)
        self._booster.set_param({"nthread": 1})
        self._row = np.empty((1, len(NAMES)), np.float64)
        self._array = bytes(json.dumps(self._row.__array_interface__ | {"strides": None}), "ascii")
        asked = {"type": 0, "training": False, "iteration_begin": 0, "iteration_end": 0, "strict_shape": False}
        self._asked = bytes(json.dumps(asked | {"cache_id": 0, "missing": float("nan")}), "ascii")
        self._shape, self._dim = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
        self._answer = ctypes.POINTER(ctypes.c_float)()
        self._call = xgb.core._LIB.XGBoosterPredictFromDense
        self._rest = (None, ctypes.byref(self._shape), ctypes.byref(self._dim), ctypes.byref(self._answer))

    def of(self, values: bytes, amount: float) -> float:
        self._row[0] = np.frombuffer(values)
        self._row[0, 0] = amount
        if self._call(self._booster.handle, self._array, self._asked, *self._rest):
            raise RuntimeError("no prediction")
        return float(self._answer[0])


class RawRedis(asyncio.Protocol):
    """GET, as many under way as there are requests."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader()
        self._asked: deque[asyncio.Future[bytes | None]] = deque()
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: Any) -> None:
        self._write = transport.write

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (answer := self._reader.gets()) is not False:
            self._asked.popleft().set_result(answer)

    def get(self, key: str) -> "asyncio.Future[bytes | None]":
        asked: asyncio.Future[bytes | None] = self._loop.create_future()
        self._asked.append(asked)
        raw = key.encode()
        self._write(b"*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n" % (len(raw), raw))
        return asked


class GroupCommit:
    """Rows that come while a commit is under way share the next one."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    def add(self, row: Row) -> "asyncio.Future[None]":
        stored: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((row, stored))
        if self._task is None:
            self._task = self._loop.create_task(self._commit())
        return stored

    async def _commit(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            await self._connection.execute(ROWS, *zip(*(row for row, _ in batch), strict=True))
            for _, stored in batch:
                stored.set_result(None)
        self._task = None


PREDICTION = Prediction(FACTS.model)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    address = address_of(FACTS.redis)
    assert isinstance(address, RedisAddress)  # noqa: S101  the benchmark's own
    _, app.state.redis = await asyncio.get_running_loop().create_connection(RawRedis, address.host, address.port)
    connection = await asyncpg.connect(FACTS.dsn)
    await connection.execute(TABLE.format(name="floor"))
    app.state.rows = GroupCommit(connection)
    yield
    await connection.close()


async def score(request: Request) -> Response:
    body: dict[str, Any] = decode(await request.body())
    bought = body["transaction"]
    customer = bought["customer_id"]
    held = await request.app.state.redis.get(f"floor:{customer}") or UNKNOWN
    probability = PREDICTION.of(held, bought["amount"] * 100)
    context = {name: value for name, value in zip(NAMES, np.frombuffer(held).tolist(), strict=True) if not isnan(value)}
    context["amount"] = bought["amount"]
    context["event"] = {"payment_method": bought["payment_method"], "hour": 12}
    hits = RULES.evaluate("rules", context)["result"]
    points = sum(row.get("points") or 0 for table in hits.values() for row in table)
    reached = min(1000, round(1000 * probability) + points)
    action = "DECLINE" if reached >= 700 else "REVIEW" if reached >= 300 else "APPROVE"
    told = {"decision_id": f"dec_{uuid.uuid4().hex[:23]}", "score": reached, "decision": action, "factors": ()}
    answer = encode(told | {"degraded": ()} | AS_LONG_AS_OURS)
    await request.app.state.rows.add((bought["transaction_id"], customer, reached, action, answer.decode()))
    return Response(answer, media_type="application/json")


async def ready(_request: Request) -> Response:
    return Response(b'{"status":"ready"}', media_type="application/json")


app = Starlette(routes=[Route("/score", score, methods=["POST"]), Route("/ready", ready)], lifespan=lifespan)
