"""The guard before every request to an address that somebody else named: webhooks, keys of an issuer, stores.

A host is resolved once, every address it has is checked, and what is connected to is an address that was checked: a
name that means something else a moment later changes nothing.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpcore
import httpx

from fradect.errors import FradectError, InvalidInput
from fradect.settings import Outward

Resolve = Callable[[str, int], Sequence[str]]
Options = Iterable[httpcore.SOCKET_OPTION] | None

_LONGEST_URL = 2048
_RESOLVING = 64  # names at once: one that is never answered takes its place for half a minute
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
_PORTS = {"https": 443, "http": 80}

# IANA's registries of special purposes, by hand: what counts as global differs between versions of Python, and none of
# them knows that NAT64 and 6to4 lead to IPv4 addresses of anybody's choice. Of IPv6 only what is given out as unicast.
_NOT_PUBLIC_4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
_PUBLIC_6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    ipaddress.IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3ffe::/16", "3fff::/20")
)


class OutOfReach(FradectError):
    """The host has an address that may not be reached, or none. Which of these is not said to whoever named it."""

    status = 422
    type = "invalid-input"


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart, in the parts that are sent: nobody reads it a second time in another way."""

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        return bytes(self.url).decode("ascii")

    @property
    def url(self) -> httpcore.URL:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return httpcore.URL(scheme=self.scheme.encode(), host=host.encode(), port=self._port, target=self.path.encode())

    @property
    def _port(self) -> int | None:
        return None if self.port == _PORTS[self.scheme] else self.port


def target_of(url: str, outward: Outward) -> Target:
    """InvalidInput says what is wrong with it. Names nobody: the host is not looked up."""
    try:
        parts = _split(url)
        port = _PORTS[parts.scheme] if parts.port is None else parts.port
    except ValueError as error:
        raise InvalidInput("url: that is no URL", "url") from error
    if parts.scheme == "http" and not outward.http:
        raise InvalidInput("url: give an https address (http: FRADECT_OUTWARD_HTTP=true)", "url")
    if not _HOST.fullmatch(_bare_host(parts)):
        raise InvalidInput("url: the host is not valid; write an international name in its xn-- form", "url")
    if not any(port in ports for ports in outward.ports):
        raise InvalidInput(f"url: port {port} is not one that is called (others: FRADECT_OUTWARD_PORTS)", "url")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, parts.hostname or "", port, path)


def _split(url: str) -> SplitResult:
    if len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable() or set(url) & set(' \\<>"'):
        raise InvalidInput(f"url: give at most {_LONGEST_URL} letters of ASCII, others percent-encoded", "url")
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        raise InvalidInput("url: give an https address", "url")
    if "@" in parts.netloc or "#" in url:
        raise InvalidInput("url: leave out user, password and fragment", "url")
    return parts


def _bare_host(parts: SplitResult) -> str:
    """As it was written, without the port."""
    host, colon, port = parts.netloc.rpartition(":")
    return host if colon and (port.isdecimal() or not port) else parts.netloc


def is_allowed(address: str, outward: Outward) -> bool:
    """Public, or of a network that is reached all the same."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if any(ip in network for network in outward.networks):
        return True
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _NOT_PUBLIC_4)
    return ip.scope_id is None and ip in _PUBLIC_6 and not any(ip in network for network in _NOT_PUBLIC_6)


def system_resolve(host: str, port: int) -> list[str]:
    """Every address of a host, also of those written in one of the ways that only the system's resolver reads."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Guard:
    """Says where a connection may go."""

    def __init__(self, outward: Outward, resolve: Resolve = system_resolve) -> None:
        self.outward = outward
        self._resolve = resolve
        self._threads = ThreadPoolExecutor(_RESOLVING, thread_name_prefix="resolving")

    def close(self) -> None:
        """Nobody waits for a name that is not answered."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def addresses(self, host: str, port: int) -> list[str]:
        """All that the host has, every one allowed; OutOfReach otherwise, as for a port that is not called."""
        try:
            found = self._resolve(host, port)
        except (OSError, UnicodeError):
            found = ()
        is_called = any(port in ports for ports in self.outward.ports)
        if not is_called or not found or not all(is_allowed(address, self.outward) for address in found):
            raise OutOfReach("the host has no address, or one that is not public")
        return list(found)

    def addresses_within(self, host: str, port: int, seconds: float) -> list[str]:
        """The same for calls that block, which a name that is not answered does not hold up; TimeoutError."""
        return self._threads.submit(self.addresses, host, port).result(seconds)

    async def addresses_soon(self, host: str, port: int, within: float) -> list[str]:
        """The same beside an event loop; TimeoutError."""
        found = asyncio.get_running_loop().run_in_executor(self._threads, self.addresses, host, port)
        return await asyncio.wait_for(found, within)

    async def check(self, url: str, within: float) -> None:
        """Whether a URL may be called as things are now; InvalidInput names `url`."""
        target = target_of(url, self.outward)
        try:
            await self.addresses_soon(target.host, target.port, within)
        except (OutOfReach, TimeoutError) as error:
            raise InvalidInput(
                "url: the host has no address, or one that is not public (private networks: FRADECT_OUTWARD_NETWORKS)",
                "url",
            ) from error


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects httpcore, and httpx through it, to addresses that the guard allows."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options = None,
    ) -> httpcore.AsyncNetworkStream:
        within = 5.0 if timeout is None else timeout
        try:
            addresses = await self._guard.addresses_soon(host.strip("[]"), port, within)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("the name was not resolved in time") from error
        for address in addresses[:-1]:
            try:
                return await self._inner.connect_tcp(address, port, within, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(addresses[-1], port, within, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class GuardedSyncBackend(httpcore.NetworkBackend):
    """The same for calls that block. A connection is over when it is `seconds` old, whatever comes through it."""

    def __init__(self, guard: Guard, seconds: float) -> None:
        self._guard, self._seconds = guard, seconds
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options = None,
    ) -> httpcore.NetworkStream:
        left = _Left(self._seconds)
        try:
            addresses = self._guard.addresses_within(host.strip("[]"), port, left.of(timeout))
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("the name was not resolved in time") from error
        for address in addresses[:-1]:
            try:
                found = self._inner.connect_tcp(address, port, left.of(timeout), local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
            return _Ending(found, left)
        last = self._inner.connect_tcp(addresses[-1], port, left.of(timeout), local_address, socket_options)
        return _Ending(last, left)


class _Left:
    """What is left of a time."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def of(self, timeout: float | None) -> float:
        """The lesser of both; a moment at least, since a socket takes none for a wait that never ends."""
        left = max(0.001, self._end - time.monotonic())
        return left if timeout is None else min(left, timeout)

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._end


class _Ending(httpcore.NetworkStream):
    """A connection that ends: one that says a little ever and again would otherwise be waited for without end."""

    def __init__(self, inner: httpcore.NetworkStream, left: _Left) -> None:
        self._inner, self._left = inner, left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._left.is_over:
            raise httpcore.ReadTimeout("the answer took too long")
        return self._inner.read(max_bytes, self._left.of(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._left.of(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Ending(self._inner.start_tls(ssl_context, server_hostname, self._left.of(timeout)), self._left)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def guarded_client(guard: Guard, seconds: float) -> httpx.Client:
    """For what is fetched now and then, each time within `seconds`: no redirects, no proxies, certificates checked.
    Give it URLs of `target_of`."""
    transport = httpx.HTTPTransport(trust_env=False)
    transport._pool.close()
    transport._pool = httpcore.ConnectionPool(
        ssl_context=ssl.create_default_context(), network_backend=GuardedSyncBackend(guard, seconds)
    )
    return httpx.Client(transport=transport, timeout=seconds, follow_redirects=False, trust_env=False)
