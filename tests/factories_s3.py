"""A real S3 server on loopback, whose failures a test chooses."""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any, NoReturn
from uuid import uuid4

import httpx
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from fradect.adapters.objects_s3 import S3Objects
from fradect.errors import Unavailable
from fradect.objects import S3Url
from fradect.settings import S3Access

SECRET = "never-to-be-shown"
Answer = tuple[str, list[tuple[str, str]], bytes]


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open, as they do at S3's

    def log(self, *_: Any) -> None:
        pass


class S3Server:
    """Moto behind a fuse. `fuse`: requests that are still answered, None for any number; then connections break.

    `alter` may change or replace what is answered, or raise ConnectionError; `asked` lists methods and paths.
    """

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self.fuse: int | None = None
        self.alter: Callable[[dict[str, Any], Callable[[], Answer]], Answer] | None = None
        self.asked: list[tuple[str, str]] = []
        self._turn = threading.Lock()
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=_Quiet)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def access(self) -> S3Access:
        return S3Access(endpoint=self.url, key_id="AKIATEST", secret=SECRET)

    def bucket(self) -> str:
        """A new, empty one."""
        name = f"fradect-{uuid4().hex[:12]}"
        httpx.put(f"{self.url}/{name}", trust_env=False).raise_for_status()
        return name

    def store(self, bucket: str | None = None, path: str = "shared") -> S3Objects:
        return S3Objects(S3Url(bucket or self.bucket(), path), self.access)

    def mend(self) -> None:
        """As good as new, with everything that was stored."""
        self.fuse, self.alter = None, None
        self.asked.clear()

    def breaks(self, work: Callable[[], object]) -> Iterator[int]:
        """The work, cut off before any answer, then after one more each time, until it goes through. After each cut
        the server is as good as new, and how many there were so far is told."""
        for answered in count():
            self.fuse = answered
            try:
                work()
            except Unavailable:
                self.mend()
            else:
                self.mend()
                return
            yield answered + 1

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @staticmethod
    def break_off(environ: dict[str, Any]) -> NoReturn:
        """Nothing more is answered on this connection."""
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        raise ConnectionError

    def _serve(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        with self._turn:  # moto is not made for two requests at once, and a test counts them
            self.asked.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
            if self.fuse is not None:
                if self.fuse <= 0:
                    self.break_off(environ)
                self.fuse -= 1
            try:
                answer = (self.alter or _as_is)(environ, lambda: self._ask(environ))
            except ConnectionError:
                self.break_off(environ)
        start(answer[0], answer[1])
        return [answer[2]]

    def _ask(self, environ: dict[str, Any]) -> Answer:
        said: list[Any] = []
        parts = self._app(environ, lambda status, headers, *_: said.extend((status, headers)))
        body = b"".join(parts)
        return said[0], said[1], body


def _as_is(_environ: dict[str, Any], ask: Callable[[], Answer]) -> Answer:
    return ask()


def refusal(status: str, code: str, *headers: tuple[str, str]) -> Answer:
    """An error as S3 words it."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode()
    return status, [("content-type", "application/xml"), ("content-length", str(len(body))), *headers], body
