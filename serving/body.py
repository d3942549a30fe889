"""A request's body, read with limits on its size, its time and its kind."""

import asyncio
from collections.abc import Generator
from types import coroutine
from typing import Any

from starlette.requests import Request

from serving.problems import Malformed, TooLarge, TooSlow, UnsupportedMedia

MAX_BYTES = 64 * 1024
SECONDS = 5.0
_JSON = b"application/json"
_READ_AWAY = 1024 * 1024  # of a body that is too large: who has sent all of it can read why it was refused


async def read_body(request: Request) -> bytes:
    """At most 64 KiB of uncompressed application/json, within five seconds."""
    _check_headers(request)
    steps = _collect(request).__await__()
    try:
        waits_for = next(steps)
    except StopIteration as done:  # it is all there, as nearly every body is: a timer would cost more than reading it
        body: bytes = done.value
        return body
    try:
        async with asyncio.timeout(SECONDS):
            return await _rest(waits_for, steps)
    except TimeoutError as error:
        raise TooSlow(f"the body did not arrive within {SECONDS:.0f} s") from error


def _check_headers(request: Request) -> None:
    headers = dict(reversed(request.scope["headers"]))  # of a name that stands twice, the first
    kind = headers.get(b"content-type", b"")
    if kind != _JSON and kind.partition(b";")[0].strip().lower() != _JSON:
        raise UnsupportedMedia("send Content-Type: application/json")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UnsupportedMedia("send the body uncompressed")
    length = headers.get(b"content-length", b"")
    if length.isdigit() and (len(length) > 9 or int(length) > _READ_AWAY):
        raise TooLarge(f"the limit is {MAX_BYTES} bytes")


async def _collect(request: Request) -> bytes:
    chunks: list[bytes] = []
    size, more = 0, True
    while more and size <= _READ_AWAY:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Malformed("the connection ended before the body did")
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size <= MAX_BYTES:
            chunks.append(chunk)
    if size > MAX_BYTES:
        raise TooLarge(f"the limit is {MAX_BYTES} bytes")
    return b"".join(chunks)


@coroutine
def _rest(waits_for: Any, steps: Generator[Any, Any, bytes]) -> Generator[Any, Any, bytes]:
    """What is left of an awaitable after its first step, which ended in waiting for this."""
    try:
        yield waits_for
        return (yield from steps)
    finally:
        steps.close()
