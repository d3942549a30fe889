"""Bodies that are too large, too deep, too many or too slow, over a real socket: refused early, at no cost."""

import asyncio
import json
import os
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, product
from pathlib import Path

import pytest
import uvicorn

from fradect.errors import InvalidInput
from serving import body as bodies
from serving.problems import Malformed
from serving.strict_json import read
from tests.factories_decision import body
from tests.serving.conftest import SCORE, Client

MIB = 1024 * 1024
GROWTH = 50 * MIB


@pytest.fixture
def address(client: Client) -> Iterator[tuple[str, int]]:
    """The same application behind a real server."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(client.app, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join(10)
    listener.close()


class _Memory:
    """How much this process grew at most, looked at every few milliseconds."""

    def __enter__(self) -> "_Memory":
        self._start = self._peak = _resident()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self._peak = max(self._peak, _resident())

    @property
    def growth(self) -> int:
        return self._peak - self._start


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _head(client: Client, *headers: str) -> bytes:
    lines = (f"POST {SCORE} HTTP/1.1", "Host: test", f"X-API-Key: {client.key}", "Content-Type: application/json")
    return "\r\n".join((*lines, *headers, "", "")).encode()


def _ask(address: tuple[str, int], head: bytes, sent: Iterator[bytes]) -> tuple[int, bytes, int]:
    """Status, body and how many bytes the server took before it answered or hung up."""
    taken = 0
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(head)
        with suppress(OSError):  # hung up on: what it had to say may still be there to read
            for piece in sent:
                connection.sendall(piece)
                taken += len(piece)
        answer = b""
        with suppress(OSError):
            while b"}" not in answer and (more := connection.recv(65_536)):
                answer += more
    status = int(answer.split(b" ", 2)[1]) if answer else 0
    return status, answer.partition(b"\r\n\r\n")[2], taken


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


LARGE = {
    "100 MB of text": b'{"a": "' + b"x" * MIB,
    "100,000 deep": b"[" * 100_000,
    "a million keys": b"{" + b",".join(b'"%d":1' % i for i in range(1_000_000)),
}


def test_a_body_beyond_the_limit_is_refused_and_not_read_to_its_end(client: Client, address: tuple[str, int]) -> None:
    for name, announced in product(LARGE, (True, False)):
        raw, times = LARGE[name], 100 if name.startswith("100 MB") else 1
        length = f"Content-Length: {len(raw) * times}" if announced else "Transfer-Encoding: chunked"
        pieces = (raw if announced else _chunk(raw) for _ in range(times))
        with _Memory() as memory:
            status, answer, taken = _ask(
                address, _head(client, length), chain(pieces, [b"" if announced else _chunk(b"")])
            )
        assert taken < 32 * MIB, f"{name}: the server went on reading"
        assert memory.growth < GROWTH, name
        was_sent = len(raw) * times < MIB  # who is still sending may see the connection go before all of the answer
        assert status == 413 or (not status and not was_sent), name
        if was_sent or answer.endswith(b"}"):
            assert json.loads(answer)["type"] == "urn:fradect:problem:body-too-large"
    assert client.post(body()).status_code == 200


def test_a_compressed_body_is_refused_before_it_is_unpacked(client: Client, address: tuple[str, int]) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b" " * MIB) for _ in range(60)) + packer.flush()
    assert len(bomb) < bodies.MAX_BYTES
    for encoding in ("gzip", "deflate", "br", "identity, gzip"):
        with _Memory() as memory:
            head = _head(client, f"Content-Length: {len(bomb)}", f"Content-Encoding: {encoding}")
            status, answer, _ = _ask(address, head, iter([bomb]))
        assert status == 415
        assert json.loads(answer)["type"] == "urn:fradect:problem:unsupported-media-type"
        assert memory.growth < GROWTH


def test_a_body_that_does_not_come_is_given_up_and_others_are_served_meanwhile(
    client: Client, address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "SECONDS", 0.6)
    whole = json.dumps(body()).encode()
    for pieces in ([_chunk(b" ")] * 200, []):
        with socket.create_connection(address, timeout=20) as slow:
            slow.sendall(_head(client, "Transfer-Encoding: chunked"))
            begun = time.monotonic()
            status, _, _ = _ask(address, _head(client, f"Content-Length: {len(whole)}"), iter([whole]))
            assert status == 200
            with suppress(OSError):
                for piece in pieces:
                    slow.sendall(piece)
                    time.sleep(0.02)
            assert slow.recv(65_536).startswith(b"HTTP/1.1 408")
            assert time.monotonic() - begun < 15


SLOW = {
    "quotes that never end": b"[" * 17 + b'"' + b'\\"' * 32_000,
    "strings that never end": b"[" * 17 + b'"\\' * 32_000,
    "a key twice, at the end": b"{" + b",".join(b'"%x":1' % i for i in range(7_000)) + b',"1b57":1}',
    "numbers without end": b"[" + b"1" * 64_000 + b"]",
    "a number of many digits": b"[1." + b"1" * 64_000 + b"]",
    "many empty things": b"[" + b",".join([b"{}"] * 21_000) + b"]",
    "many names with surrogates": b"{" + b",".join(b'"\\ud83d%d":1' % i for i in range(4_400)) + b"}",
}


@pytest.mark.parametrize("name", SLOW)
def test_no_body_within_the_limit_takes_long_to_read(name: str) -> None:
    assert len(SLOW[name]) <= bodies.MAX_BYTES
    took = []
    for _ in range(3):
        begun = time.thread_time()
        with suppress(Malformed, InvalidInput):
            read(SLOW[name])
        took.append(time.thread_time() - begun)
    assert min(took) < 0.1
