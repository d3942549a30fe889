"""A load generator that leaves its core to others: plain sockets, requests made beforehand, one thread, no framework.

Closed loop: every connection asks again as soon as it is answered. Open loop: requests are due at moments drawn
beforehand, and a request's time counts from the moment it was due, so that a server which stalls pays for everybody
who came meanwhile. While it runs nothing is parsed but the status and the length; what was answered is kept.
"""

import gc
import re
import select
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"
_CHUNK = 262_144
PATIENCE = 10.0  # seconds after which an answer is no longer waited for


@dataclass(frozen=True, slots=True)
class Wire:
    """Requests as bytes in which `mark` is to be replaced by a number of the same width."""

    host: str
    port: int
    templates: Sequence[bytes]
    mark: bytes

    def request(self, number: int) -> bytes:
        text = self.templates[number % len(self.templates)]
        return text.replace(self.mark, b"%0*d" % (len(self.mark), number))


def templates(path: str, headers: dict[str, str], bodies: Sequence[bytes]) -> list[bytes]:
    """HTTP/1.1 requests; a body's length does not change when its mark is replaced."""
    said = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    start = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{said}"
    return [f"{start}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]


@dataclass(slots=True)
class Heard:
    """What came back: seconds from when a request was due to its answer, bodies, and statuses that were not 200.

    `refusals`: seconds of these; `unhelpful`: how many of them did not say when to come again. `seconds`: how long the
    stretch lasted in which they were counted. `lost`: requests without an answer in time.
    """

    latencies: list[float] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    refused: list[bytes] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    unhelpful: int = 0
    lost: int = 0
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, percent: float) -> float:
        """Milliseconds."""
        return float(np.percentile(self.latencies, percent)) * 1000


class _Connection:
    """One keep-alive connection with at most one request on its way."""

    def __init__(self, wire: Wire) -> None:
        self.socket = socket.create_connection((wire.host, wire.port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self._held = b""

    def ask(self, request: bytes, due: float) -> None:
        self.due = due
        self.socket.sendall(request)

    def take(self) -> tuple[bytes, bytes] | None:
        """The answer's head and body; None while it is not whole. ConnectionError when cut."""
        more = self.socket.recv(_CHUNK)
        if not more:
            raise ConnectionError("the server closed a connection")
        held = self._held + more if self._held else more
        end = held.find(_END)
        length = _LENGTH.search(held, 0, end) if end >= 0 else None
        if length is None or len(held) < end + 4 + int(length[1]):
            self._held = held
            return None
        self._held = b""
        return held[:end], held[end + 4 :]


class Load:
    """Connections to one server. `number`: what the first request is marked with; it grows with every request."""

    def __init__(self, wire: Wire, connections: int, number: int) -> None:
        self._wire = wire
        self.number = number
        self._all: list[_Connection] = []
        self._by_fd: dict[int, _Connection] = {}
        self._ready = select.epoll()
        self._heard = Heard()
        self.widen(connections)

    def widen(self, connections: int) -> None:
        """As many connections from now on, if there are fewer."""
        while len(self._all) < connections:
            one = _Connection(self._wire)
            self._all.append(one)
            self._by_fd[one.socket.fileno()] = one
            self._ready.register(one.socket, select.EPOLLIN)

    def close(self) -> None:
        self._ready.close()
        for one in self._all:
            one.socket.close()

    def closed(self, seconds: float) -> Heard:
        """Every connection asks again as soon as it has been answered."""
        with self._hearing() as heard:
            begun = time.perf_counter()
            until = begun + seconds
            for one in self._all:
                one.ask(self._next(), time.perf_counter())
            while time.perf_counter() < until:
                for one in self._answered(0.1):
                    one.ask(self._next(), time.perf_counter())
            heard.seconds = time.perf_counter() - begun
            counted = len(heard.latencies)
            self._drain({id(one): one for one in self._all})
            del heard.latencies[counted:]  # what was under way at the end belongs to no stretch
        return heard

    def open(self, rate: float, seconds: float, seed: int) -> Heard:
        """Requests at random moments, `rate` a second on average, whatever the server does."""
        gaps = np.random.default_rng(seed).exponential(1 / rate, max(int(rate * seconds), 1))
        with self._hearing() as heard:
            begun = time.perf_counter()
            moments = deque((begun + np.cumsum(gaps)).tolist())
            idle, waiting = deque(self._all), deque[float]()
            busy: dict[int, _Connection] = {}
            while moments or waiting or busy:
                now = time.perf_counter()
                while moments and moments[0] <= now:
                    waiting.append(moments.popleft())
                while waiting and idle:
                    one = idle.popleft()  # each in its turn: servers cut connections that rest
                    busy[id(one)] = one
                    one.ask(self._next(), waiting.popleft())
                if not moments and now > begun + seconds + PATIENCE:
                    heard.lost += len(busy) + len(waiting)
                    break
                for one in self._answered(moments[0] - now if moments else 0.1):
                    del busy[id(one)]
                    idle.append(one)
            heard.seconds = time.perf_counter() - begun
        return heard

    def _next(self) -> bytes:
        self.number += 1
        return self._wire.request(self.number)

    def _answered(self, seconds: float) -> Iterator[_Connection]:
        """Connections whose answer is whole, after at most that long. `select` waits by the microsecond, epoll not."""
        if not select.select([self._ready.fileno()], [], [], max(seconds, 0.0))[0]:
            return
        for fd, _ in self._ready.poll(0):
            one = self._by_fd[fd]
            answer = one.take()
            if answer is not None:
                self._take(one, *answer)
                yield one

    def _take(self, one: _Connection, head: bytes, body: bytes) -> None:
        heard, took = self._heard, time.perf_counter() - one.due
        if head.startswith(b"HTTP/1.1 200"):
            heard.latencies.append(took)
            heard.bodies.append(body)
        else:
            heard.refusals.append(took)
            heard.refused.append(body)
            heard.unhelpful += b"retry-after:" not in head.lower()

    def _drain(self, busy: dict[int, _Connection]) -> None:
        until = time.perf_counter() + PATIENCE
        while busy and time.perf_counter() < until:
            for one in self._answered(0.1):
                del busy[id(one)]
        self._heard.lost += len(busy)

    @contextmanager
    def _hearing(self) -> Iterator[Heard]:
        """A new account, and no garbage collection while it is kept."""
        self._heard = Heard()
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            yield self._heard
        finally:
            gc.enable()
            gc.unfreeze()
