"""Receivers of webhooks on loopback: real sockets, and whatever a receiver may do to us."""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from fradect.settings import Outward, _network

ON_LOOPBACK = Outward((_network("127.0.0.0/8"),), http=True, ports=(range(1, 65_536),))


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[[socket.socket], bool]
"""Answers a request that was read; whether the connection stays."""


def answer(status: int = 200, *headers: str, body: bytes = b"ok") -> Behaviour:
    lines = [f"HTTP/1.1 {status} said", f"Content-Length: {len(body)}", *headers]
    raw = "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def send(connection: socket.socket) -> bool:
        connection.sendall(raw)
        return True

    return send


def hang(connection: socket.socket) -> bool:
    """Until the other side has had enough."""
    with suppress(OSError):
        connection.recv(1)
    return False


def cut(connection: socket.socket) -> bool:
    """Half a status line, then a reset."""
    connection.sendall(b"HTTP/1.1 2")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def babble(connection: socket.socket) -> bool:
    """What is no HTTP."""
    connection.sendall(b"\x16\x03\x01 what is this\r\n\r\n")
    return False


def flood(connection: socket.socket) -> bool:
    """Thirty megabytes that were promised, as fast as they are taken."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n")
    for _ in range(300):
        connection.sendall(bytes(100_000))
    return False


def endless_headers(connection: socket.socket) -> bool:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for n in range(100_000):
        connection.sendall(b"X-%d: %s\r\n" % (n, b"x" * 1000))
    return False


def drip(connection: socket.socket) -> bool:
    """A byte of a header at a time, for ever."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    connection.settimeout(0.05)
    while True:
        connection.sendall(b"x")
        with suppress(TimeoutError):
            if not connection.recv(1):
                return False


class Receiver:
    """Behaves as told, request by request; the last behaviour stays."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self._behaviours = list(behaviours) or [answer()]
        self.received: list[Received] = []
        self.at_once = self.most_at_once = self.sent = 0
        self._turn = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}/hooks?from=fradect"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def behave(self, *behaviours: Behaviour) -> None:
        with self._turn:
            self._behaviours = list(behaviours)

    def ids(self) -> list[str]:
        return [one.headers["webhook-id"] for one in self.received]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection, connection.makefile("rb") as stream:
            while (received := _request(stream)) is not None:
                with self._turn:
                    self.received.append(received)
                    behave = self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]
                    self.at_once += 1
                    self.most_at_once = max(self.most_at_once, self.at_once)
                try:
                    stays = behave(connection)
                finally:
                    with self._turn:
                        self.at_once -= 1
                if not stays:
                    return


def _request(stream: BinaryIO) -> Received | None:
    readline, read = stream.readline, stream.read
    first = readline()
    if not first:
        return None
    headers: dict[str, str] = {}
    while (line := readline().strip()) != b"":
        name, _, value = line.decode().partition(": ")
        headers[name] = value
    return Received(first.split(b" ")[1].decode(), headers, read(int(headers.get("Content-Length", "0"))))
