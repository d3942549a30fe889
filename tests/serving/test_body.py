"""A body, however it comes: whole, in pieces, late, never."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request

from serving import body as bodies
from serving.body import MAX_BYTES, read_body
from serving.problems import Malformed, TooLarge, TooSlow, UnsupportedMedia

Piece = bytes | float | None  # what comes, how long nothing does, the end of the connection
JSON = (b"content-type", b"application/json")


async def _read(pieces: list[Piece], headers: tuple[tuple[bytes, bytes], ...] = (JSON,)) -> bytes:
    coming = deque(pieces)

    async def receive() -> dict[str, Any]:
        while isinstance(piece := coming.popleft(), float):
            await asyncio.sleep(piece)
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": bool(coming)}

    return await read_body(Request({"type": "http", "headers": list(headers)}, receive))


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each timer was to run that was set."""
    started: list[float] = []
    timeout: Callable[[float], Any] = asyncio.timeout

    def counted(seconds: float) -> Any:
        started.append(seconds)
        return timeout(seconds)

    monkeypatch.setattr(asyncio, "timeout", counted)
    return started


@pytest.mark.parametrize("pieces", [[b"{}"], [b"{", b"", b"}"], [b""]])
def test_what_is_there_is_read_without_a_timer(pieces: list[Piece], timers: list[float]) -> None:
    assert asyncio.run(_read(pieces)) == b"".join(piece for piece in pieces if isinstance(piece, bytes))
    assert timers == []


@pytest.mark.parametrize("pieces", [[0.0, b"{}"], [b"{", 0.001, b"}"], [0.001, b"{", 0.0, 0.001, b"", b"}"]])
def test_what_comes_late_is_waited_for_so_long(pieces: list[Piece], timers: list[float]) -> None:
    assert asyncio.run(_read(pieces)) == b"{}"
    assert timers == [bodies.SECONDS]


@pytest.mark.parametrize("pieces", [[9.0, b"{}"], [b"{", 9.0, b"}"], [b"{", *[0.004, b" "] * 50, b"}"]])
def test_what_does_not_come_is_given_up(pieces: list[Piece], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "SECONDS", 0.02)
    with pytest.raises(TooSlow):
        asyncio.run(_read(pieces))


@pytest.mark.parametrize("pieces", [[None], [b"{", None], [b"{", 0.001, None]])
def test_a_connection_that_ends_before_the_body_does(pieces: list[Piece]) -> None:
    with pytest.raises(Malformed, match="connection ended"):
        asyncio.run(_read(pieces))


@pytest.mark.parametrize("pieces", [[b"x" * (MAX_BYTES + 1)], [b"x" * MAX_BYTES, b"x"], [b"x" * 2_000] * 2_000])
def test_too_much_is_refused_whether_it_comes_at_once_or_late(pieces: list[Piece]) -> None:
    assert asyncio.run(_read([b"x" * MAX_BYTES])) == b"x" * MAX_BYTES
    for start in ([], [0.0]):
        with pytest.raises(TooLarge):
            asyncio.run(_read([*start, *pieces]))


def test_who_is_no_longer_waited_for_leaves_nothing_running() -> None:
    async def cancelled() -> bool:
        let_go = asyncio.Event()

        async def receive() -> dict[str, Any]:
            try:
                await asyncio.sleep(60)
            finally:
                let_go.set()
            raise AssertionError("nothing came")

        reading = asyncio.create_task(read_body(Request({"type": "http", "headers": [JSON]}, receive)))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        return reading.cancelled() and let_go.is_set()

    assert asyncio.run(cancelled())


@pytest.mark.parametrize("kind", [b"application/json", b"Application/JSON ; charset=utf-8", b" application/json"])
def test_a_media_type_has_many_spellings(kind: bytes) -> None:
    assert asyncio.run(_read([b"{}"], ((b"content-type", kind),))) == b"{}"


def test_of_a_header_that_stands_twice_the_first_counts() -> None:
    other = (b"content-type", b"text/plain")
    assert asyncio.run(_read([b"{}"], (JSON, other))) == b"{}"
    for headers in ((other, JSON), (JSON, (b"content-encoding", b"gzip")), ()):
        with pytest.raises(UnsupportedMedia):
            asyncio.run(_read([b"{}"], headers))
