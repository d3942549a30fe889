"""The rows of a batch from Parquet, which another process reads: what is broken there, or hangs, is a file that cannot
be read, and nothing of the service."""

import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

import msgspec

from fradect.errors import InvalidInput
from fradect.faults import Fault, Reason
from fradect.jobs import MOST_ROW_BYTES
from serving.batch_rows import Row, nested
from serving.child import started
from serving.parquet_words import LENGTH, MOST_LOOK, MOST_MESSAGE, Look, Said, Some, Wanted, encoded, heard, with_length

SECONDS = 30.0
"""Within which the process has to say something."""


class Broken(Exception):
    """The process did not come to an end that says why."""


_BOOT = """
from serving.parquet_child import main
main()
"""


def count(file: BinaryIO) -> int:
    """How many rows it has. InvalidInput when it cannot be read as a batch."""
    try:
        return next(message.count for message in _said(file, Wanted(_size(file))) if isinstance(message, Said))
    except Broken as error:
        raise InvalidInput(f"it cannot be read as Parquet ({error}): write it again", "file") from error


def rows(file: BinaryIO, position: int, taken: int) -> Iterator[Row]:
    """From row `position` (the first is 0) on. InvalidInput where the file ends to be readable; Broken when it is the
    process that ended, which need not be the file's fault."""
    for message in _said(file, Wanted(_size(file), position)):
        if isinstance(message, Said):
            return
        for cells in message.rows:
            taken += 1
            position += 1
            yield _row(taken, position, message.names, cells)


def _row(number: int, end: int, names: tuple[str, ...], cells: tuple[object, ...] | None) -> Row:
    if cells is None:
        return Row(number, end, {}, Fault(Reason.TOO_LONG, f"a row has at most {MOST_ROW_BYTES} bytes"))
    given = dict(zip(names, cells, strict=True))
    texts = {
        name: value.decode("utf-8", "surrogateescape") for name, value in given.items() if isinstance(value, bytes)
    }
    return Row(number, end, nested(given | texts))


def _said(file: BinaryIO, wanted: Wanted) -> Iterator[Some | Said]:
    """What the process says, its looks into the file answered."""
    with _reader() as child:
        child.send(encoded(wanted))
        while True:
            message = child.hear()
            if isinstance(message, Look):
                file.seek(message.offset)
                child.send(with_length(file.read(min(message.size, MOST_LOOK))))
                continue
            if isinstance(message, Said) and message.refused is not None:
                raise InvalidInput(message.refused, message.field)
            yield message


@contextmanager
def _reader() -> "Iterator[_Child]":
    pipe, how = subprocess.PIPE, started(_BOOT, ARROW_DEFAULT_MEMORY_POOL="system")
    child = _Child(subprocess.Popen(**how, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, bufsize=0))
    try:
        yield child
    finally:
        child.end()


class _Child:
    """The process, waited for at most so long, whatever it does with what it is sent."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        if process.stdin is None or process.stdout is None:
            raise TypeError("it has no pipes")
        self._to, self._from = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)

    def send(self, data: bytes) -> None:
        left, deadline = memoryview(data), time.monotonic() + SECONDS
        while left:
            self._until(self._to, select.POLLOUT, deadline)
            with suppress(BlockingIOError):
                try:
                    left = left[os.write(self._to, left) :]
                except BrokenPipeError as error:
                    raise Broken(self._end()) from error

    def hear(self) -> Look | Some | Said:
        """Broken when nothing comes, or nothing that makes sense."""
        deadline = time.monotonic() + SECONDS
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size, deadline))
        if length > MOST_MESSAGE:
            raise Broken("it says too much")
        try:
            return heard.decode(self._exactly(length, deadline))
        except (msgspec.DecodeError, ValueError, ArithmeticError) as error:
            raise Broken("it says what nobody understands") from error

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _exactly(self, size: int, deadline: float) -> bytes:
        held = bytearray()
        while len(held) < size:
            self._until(self._from, select.POLLIN, deadline)
            with suppress(BlockingIOError):
                more = os.read(self._from, min(size - len(held), MOST_LOOK))
                if not more:
                    raise Broken(self._end())
                held += more
        return bytes(held)

    def _until(self, pipe: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(pipe, event)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise Broken(f"nothing comes of it within {SECONDS:g} s")

    def _end(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            return f"the process that reads it ended with code {self._process.wait(1)}"
        return "the process that reads it says no more"


def _size(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)
