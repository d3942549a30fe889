"""One try of one delivery over HTTP: where the guard allows, without redirects, and never for long."""

import asyncio
import email.utils
import logging
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import httpcore

from fradect.adapters.outward import Guard, GuardedBackend, OutOfReach, Target, target_of
from fradect.adapters.webhook_queue import Leased, Told
from fradect.deliveries import Attempt
from fradect.errors import InvalidInput
from fradect.webhooks import sign

log = logging.getLogger(__name__)

_AGENT = "FRADECT-Webhooks/1"
_KEPT_OPEN = 128  # connections that wait for the next message
_KEPT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one try, in seconds and bytes: what a receiver says is read only so that its connection can be kept."""

    connect: float = 5.0
    whole: float = 15.0
    read_bytes: int = 64 * 1024


class WebhookSender:
    """Connections to receivers. What they answer beside the status is neither kept nor shown to anybody."""

    def __init__(self, guard: Guard, limits: Limits | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._guard = guard
        self.limits = limits or Limits()
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or ssl.create_default_context(),
            max_connections=None,
            max_keepalive_connections=_KEPT_OPEN,
            keepalive_expiry=_KEPT_SECONDS,
            network_backend=GuardedBackend(guard),
        )

    async def close(self) -> None:
        await self._pool.aclose()
        self._guard.close()

    async def send(self, told: Told, leased: Leased) -> Attempt:
        """What came of it. Errors are words of a small set: what a network says of itself is nobody's business."""
        if not told.secrets:
            return Attempt(error="secret-does-not-open")
        try:
            target = target_of(told.url, self._guard.outward)
            async with asyncio.timeout(self.limits.whole):
                return await self._post(target, _headers(told.secrets, leased), leased.body)
        except _KNOWN as error:
            return Attempt(error=_word(error))
        except Exception:  # whatever it was, the try has to count, or its message is leased again for ever
            log.exception("webhook %s: a try failed in a way that nobody foresaw", told.id)
            return Attempt(error="unforeseen")

    async def _post(self, target: Target, headers: Sequence[tuple[str, str]], body: bytes) -> Attempt:
        timeouts = {"connect": self.limits.connect, "read": self.limits.whole, "write": self.limits.whole}
        asked = self._pool.stream("POST", target.url, headers=headers, content=body, extensions={"timeout": timeouts})
        async with asked as response:
            attempt = _attempt(response)
            with suppress(httpcore.NetworkError, httpcore.ProtocolError):  # the status was said
                await self._read_away(response)
            return attempt

    async def _read_away(self, response: httpcore.Response) -> None:
        size = 0
        async for chunk in response.aiter_stream():
            size += len(chunk)
            if size > self.limits.read_bytes:
                return  # the connection is closed with it


_OVER = (TimeoutError, httpcore.TimeoutException)
_REFUSED = (OutOfReach, InvalidInput)
_KNOWN = (*_OVER, *_REFUSED, httpcore.NetworkError, httpcore.ProtocolError, OSError)


def _word(error: Exception) -> str:
    if isinstance(error, _OVER):
        return "timeout"
    if isinstance(error, _REFUSED):
        return "address-not-allowed"
    return "tls" if isinstance(error.__cause__, ssl.SSLError) else "connection"


def _headers(secrets: Sequence[str], leased: Leased) -> list[tuple[str, str]]:
    signed = sign(secrets, leased.message_id, int(time.time()), leased.body)
    about = {
        "Content-Type": "application/json",
        "Content-Length": str(len(leased.body)),
        "User-Agent": _AGENT,
        "Accept-Encoding": "identity",
        "X-Fradect-Event": leased.event,
    }
    return [*about.items(), *signed.items()]


def _attempt(response: httpcore.Response) -> Attempt:
    status = response.status
    if 200 <= status < 300:
        return Attempt(status)
    asked = dict(response.headers).get(b"retry-after") or dict(response.headers).get(b"Retry-After")
    waits = asked is not None and status in (429, 503)
    error = "redirect" if 300 <= status < 400 else "status"
    return Attempt(status, error, _seconds(asked.decode("latin-1")) if waits and asked is not None else None)


def _seconds(retry_after: str) -> int | None:
    """Of a header that holds seconds or a date."""
    if retry_after.strip().isdecimal():
        return int(retry_after.strip()[:9])
    with suppress(ValueError):
        return max(0, int(email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time()))
    return None
