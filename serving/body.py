"""A request's body, read with limits on its size, its time and its kind."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from serving.problems import Malformed, TooLarge, TooSlow, UnsupportedMedia

MAX_BYTES = 64 * 1024
SECONDS = 5.0
_READ_AWAY = 1024 * 1024  # of a body that is too large: who has sent all of it can read why it was refused


async def read_body(request: Request) -> bytes:
    """At most 64 KiB of uncompressed application/json, within five seconds."""
    _check_headers(request)
    try:
        async with asyncio.timeout(SECONDS):
            return await _collect(request)
    except TimeoutError as error:
        raise TooSlow(f"the body did not arrive within {SECONDS:.0f} s") from error
    except ClientDisconnect as error:
        raise Malformed("the connection ended before the body did") from error


def _check_headers(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnsupportedMedia("send Content-Type: application/json")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("send the body uncompressed")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 9 or int(length) > _READ_AWAY):
        raise TooLarge(f"the limit is {MAX_BYTES} bytes")


async def _collect(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BYTES:
            chunks.append(chunk)
        elif size > _READ_AWAY:
            break
    if size > MAX_BYTES:
        raise TooLarge(f"the limit is {MAX_BYTES} bytes")
    return b"".join(chunks)
