"""A TCP proxy with faults: what it forwards may come late, never, or end in a reset."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any


class Proxy:
    """Stands before `port` on loopback, in a thread of its own.

    `latency`: seconds added to what either side says; `blackhole`: everything is taken and nothing passed on. Both
    hold for connections that exist as well. `connections` counts those that were accepted.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self.latency = 0.0
        self.blackhole = False
        self.resets = False
        self.connections = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.up()

    def up(self) -> None:
        self._do(self._listen())

    def down(self) -> None:
        """Nobody listens any more, and every connection ends."""
        self._do(self._shut())

    def reset(self) -> None:
        """From now on every connection, old or new, ends with RST."""
        self.resets = True
        self._do(self._cut())

    def cut(self) -> None:
        """Every connection there is ends; new ones are taken."""
        self._do(self._cut())

    def mend(self) -> None:
        self.latency, self.blackhole, self.resets = 0.0, False, False
        if self._server is None:
            self.up()

    def close(self) -> None:
        self.down()
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _cut(self) -> None:
        for writer in list(self._open):
            _abort(writer)
        await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.resets:
            _abort(writer)
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._open |= {writer, back}
        with suppress(ConnectionError, asyncio.CancelledError):
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        for end in (writer, back):
            self._open.discard(end)
            _abort(end)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            if self.latency:
                await asyncio.sleep(self.latency)
            if not self.blackhole:
                writer.write(chunk)
                await writer.drain()
        writer.close()


def _abort(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
