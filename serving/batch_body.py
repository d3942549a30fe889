"""The body of a batch: larger than that of one request, and read beside the event loop."""

import asyncio
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import ClientDisconnect, Request

from fradect.errors import InvalidInput
from fradect.jobs import MOST_ITEM_BYTES, MOST_ITEMS
from fradect.modules import MODULES
from serving.problems import Malformed, TooLarge, TooSlow, UnsupportedMedia
from serving.strict_json import read
from serving.typed import typed

SECONDS = 15.0
_json = msgspec.json.Encoder(decimal_format="number")

Item = Annotated[
    dict[str, Any],
    Meta(description="The body of a score request, or `type` (`transaction`) with the transaction as `data`"),
]


class BatchOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`include_factors`: the reasons of every decision, which cost several times what a decision does."""

    include_factors: bool = False


class BatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /api/v1/batch/score`: either `items`, or the `upload_id` of a file that was sent before."""

    items: Annotated[tuple[Item, ...], Meta(min_length=1, max_length=MOST_ITEMS)] | None = None
    upload_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    module: Annotated[str, Meta(max_length=64, extra_json_schema={"enum": sorted(MODULES)})] = "ecommerce"
    options: BatchOptions = BatchOptions()


async def read_batch(request: Request) -> tuple[BatchRequest, bytes]:
    """What is asked, and the same as bytes. At most 512 KiB of uncompressed JSON, within 15 seconds."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMedia("send Content-Type: application/json; files go to /api/v1/batch/uploads")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("send the body uncompressed")
    try:
        async with asyncio.timeout(SECONDS):
            raw = await _collect(request)
    except TimeoutError as error:
        raise TooSlow(f"the body did not arrive within {SECONDS:.0f} s") from error
    except ClientDisconnect as error:
        raise Malformed("the connection ended before the body did") from error
    return await asyncio.to_thread(_asked, raw), raw


def lines(items: tuple[Any, ...]) -> bytes:
    """One a line, numbers as they were sent."""
    try:
        return b"".join(_json.encode(item) + b"\n" for item in items)
    except (UnicodeEncodeError, ValueError) as error:
        raise InvalidInput("items: a text is no valid text (a lone surrogate); send valid UTF-8", "items") from error


def _asked(raw: bytes) -> BatchRequest:
    asked = typed(read(raw), BatchRequest)
    if (asked.items is None) == (asked.upload_id is None):
        raise InvalidInput("send items, or the upload_id of a file: one of the two", "items")
    return asked


async def _collect(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    too_large = TooLarge(f"the limit is {MOST_ITEM_BYTES} bytes: send a file to /api/v1/batch/uploads")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 9 or int(length) > 4 * MOST_ITEM_BYTES):
        raise too_large
    async for chunk in request.stream():
        size += len(chunk)
        if size > 4 * MOST_ITEM_BYTES:
            raise too_large
        if size <= MOST_ITEM_BYTES:
            chunks.append(chunk)
    if size > MOST_ITEM_BYTES:  # whoever has sent all of it can read why it was refused
        raise too_large
    return b"".join(chunks)
