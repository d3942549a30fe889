"""A file that is sent: streamed to the disk, sealed as it comes, looked through before it counts."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import BinaryIO, Protocol, cast

from starlette.requests import ClientDisconnect, Request

from fradect.errors import InvalidInput
from fradect.jobs import Allowed, Format, Upload
from serving import batch_parquet
from serving.batch_rows import csv_header
from serving.problems import Malformed, TooLarge, TooSlow, UnsupportedMedia

KINDS = {
    "application/x-ndjson": Format.NDJSON,
    "text/csv": Format.CSV,
    "application/vnd.apache.parquet": Format.PARQUET,
}
PAUSE_SECONDS = 30.0
"""So long nothing may come before an upload is given up."""
_AT_ONCE = 256 * 1024
_MAGIC = b"PAR1"
_BOM = b"\xef\xbb\xbf"


class Uploads(Protocol):
    """As fradect.adapters.batch_uploads.SqlUploads."""

    allowed: Allowed

    def begin(self, tenant_id: str, form: Format, now: int) -> Upload: ...
    def finish(self, upload: Upload) -> None: ...
    def drop(self, tenant_id: str, upload_id: str) -> None: ...


class Writer(Protocol):
    """A file that is being written."""

    size: int

    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def abandon(self) -> None: ...


class Files(Protocol):
    """As fradect.adapters.sealed_files.SealedFiles."""

    def new(self, name: str, key: bytes) -> Writer: ...
    def open(self, name: str, key: bytes) -> io.RawIOBase: ...
    def delete(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Receiver:
    """Takes uploads. The disk and the database are waited for on other threads than the event loop's."""

    uploads: Uploads
    files: Files
    now: Callable[[], int]

    async def receive(self, request: Request, tenant_id: str) -> Upload:
        """Durable, and of the kind it says it is, when it returns; of one that fails nothing stays."""
        form, most = _form(request), self.uploads.allowed.upload_bytes
        length = request.headers.get("content-length", "")
        if length.isdecimal() and (len(length) > 15 or int(length) > most):
            raise TooLarge(f"an upload has at most {most} bytes: send several")
        upload = await asyncio.to_thread(self.uploads.begin, tenant_id, form, self.now())
        try:
            return await self._take(request, upload, most)
        except BaseException:
            forgetting = asyncio.get_running_loop().run_in_executor(None, self._forget, upload)
            await asyncio.shield(forgetting)
            raise

    async def _take(self, request: Request, upload: Upload, most: int) -> Upload:
        writer = await asyncio.to_thread(self.files.new, upload.id, upload.key)
        rows = _LineCount(upload.format)
        try:
            async for piece in _pieces(request):
                if writer.size + len(piece) > most:
                    raise TooLarge(f"an upload has at most {most} bytes: send several")
                rows.add(piece)
                await asyncio.to_thread(writer.write, piece)
            await asyncio.to_thread(writer.close)
        except BaseException:
            writer.abandon()
            raise
        received = replace(upload, size=writer.size, rows=rows.total())
        return await asyncio.to_thread(self._finish, received)

    def _finish(self, upload: Upload) -> Upload:
        if not upload.size:
            raise InvalidInput("the file is empty", "file")
        with self.files.open(upload.id, upload.key) as raw:
            file = cast("BinaryIO", io.BufferedReader(raw, 1 << 16))
            if upload.format is Format.PARQUET:
                _check_magic(file, upload.size)
                upload = replace(upload, rows=batch_parquet.count(file))
            elif upload.format is Format.CSV:
                csv_header(file)
            elif not file.read(1 << 16).removeprefix(_BOM).lstrip().startswith(b"{"):
                raise InvalidInput("it does not begin with a JSON object, one of which stands on each line", "file")
        most = self.uploads.allowed.rows
        if upload.rows > most:
            raise TooLarge(f"it has {upload.rows} rows; a batch has at most {most}: send several")
        self.uploads.finish(upload)
        return upload

    def _forget(self, upload: Upload) -> None:
        self.files.delete(upload.id)
        self.uploads.drop(upload.tenant_id, upload.id)


def _form(request: Request) -> Format:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in KINDS:
        raise UnsupportedMedia(f"send Content-Type: {', '.join(KINDS)}")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("send the file uncompressed; Parquet compresses by itself")
    return KINDS[kind]


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """What comes, in pieces worth a write."""
    held, size = list[bytes](), 0
    coming = request.stream().__aiter__()
    while True:
        try:
            async with asyncio.timeout(PAUSE_SECONDS):
                chunk = await anext(coming)
        except StopAsyncIteration:
            break
        except TimeoutError as error:
            raise TooSlow(f"nothing came for {PAUSE_SECONDS:.0f} s") from error
        except ClientDisconnect as error:
            raise Malformed("the connection ended before the file did") from error
        held.append(chunk)
        size += len(chunk)
        if size >= _AT_ONCE:
            yield b"".join(held)
            held, size = [], 0
    if size:
        yield b"".join(held)


def _check_magic(file: BinaryIO, size: int) -> None:
    head = file.read(len(_MAGIC))
    file.seek(max(0, size - len(_MAGIC)))
    if head != _MAGIC or file.read() != _MAGIC:
        raise InvalidInput("it is no Parquet file: it neither begins nor ends as one, or was cut off", "file")


class _LineCount:
    """How many rows a text has, by line ends outside quotation marks. Blank lines count too: it is a bound."""

    def __init__(self, form: Format) -> None:
        self._is_csv = form is Format.CSV
        self._lines, self._quotes, self._last = 0, 0, b"\n"

    def add(self, piece: bytes) -> None:
        if self._is_csv:
            outside = piece.split(b'"')[self._quotes % 2 :: 2]
            self._lines += sum(part.count(b"\n") for part in outside)
            self._quotes += piece.count(b'"')
        else:
            self._lines += piece.count(b"\n")
        self._last = piece[-1:] or self._last

    def total(self) -> int:
        return max(0, self._lines + (self._last != b"\n") - self._is_csv)
