"""A caller's Idempotency-Key: read strictly, and one request at a time under each."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request

from serving.problems import InvalidKey, StillRunning

_VISIBLE = re.compile(rb"[!-~]{1,255}")


def key_of(request: Request) -> str | None:
    """SHA-256, in hexadecimal, of the key; None without one. InvalidKey unless it is 1 to 255 visible characters."""
    keys = [value for name, value in request.scope["headers"] if name == b"idempotency-key"]
    if not keys:
        return None
    if len(keys) > 1 or not _VISIBLE.fullmatch(keys[0]):
        raise InvalidKey("Idempotency-Key: send one, of 1 to 255 visible ASCII characters, or none")
    return hashlib.sha256(keys[0]).hexdigest()


class Running:
    """Keys in use in this process. Across processes the ledger's unique key decides."""

    def __init__(self) -> None:
        self._held: set[tuple[str, str]] = set()

    @contextmanager
    def held(self, tenant_id: str, key: str) -> Iterator[None]:
        """StillRunning while another request of the tenant holds the key."""
        name = (tenant_id, key)
        if name in self._held:
            raise StillRunning("the first request under this Idempotency-Key is not answered yet; ask again")
        self._held.add(name)
        try:
            yield
        finally:
            self._held.discard(name)
