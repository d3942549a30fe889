"""API keys: `fdk_live_<id>_<secret>`. The database holds an HMAC of the secret; the pepper is a file beside it."""

import hmac
import os
import re
import secrets
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import sqlalchemy as sa

from fradect.adapters.mac import Mac
from fradect.adapters.tables import api_keys
from fradect.errors import Refused, Unavailable
from fradect.ports import Caller

API_USER = ("read:risk_decisions", "read:transactions", "write:transactions")

_KEY = re.compile(r"fdk_live_([a-z0-9]{12})_([A-Za-z0-9_-]{43})")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_PEPPER_BYTES = 32


class ApiKeys:
    """Callers by key, from memory; `reload` follows the table. A key's clear text exists when it is issued only."""

    def __init__(self, engine: sa.Engine, folder: Path) -> None:
        """Refused when the pepper in `folder` is not what this class wrote; it is made when there is none."""
        self._engine = engine
        self._folder = folder
        self._mac = Mac(_pepper(folder / "pepper"))
        self._known: dict[str, tuple[bytes, Caller]] = {}
        self._turn = threading.Lock()
        self.reload()

    def find(self, key: str) -> Caller | None:
        match = _KEY.fullmatch(key)
        if match is None:
            return None
        digest, caller = self._known.get(match[1], (bytes(32), None))
        return caller if hmac.compare_digest(digest, self._digest(match[1], match[2])) else None

    def issue(self, tenant_id: str, permissions: Iterable[str], now: int) -> str:
        """A new key in clear text, this once."""
        key_id = "".join(secrets.choice(_ALPHABET) for _ in range(12))
        secret = secrets.token_urlsafe(32)
        row = {
            "id": key_id,
            "tenant_id": tenant_id,
            "digest": self._digest(key_id, secret),
            "scopes": msgspec.json.encode(sorted(permissions)).decode(),
            "created_at": now,
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(api_keys.insert(), row)
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"the key was not stored: {error.orig}") from error
        self.reload()
        return f"fdk_live_{key_id}_{secret}"

    def first(self, tenant_id: str, now: int) -> Path | None:
        """Make the tenant's first key, into a file that its owner alone may read; None when there is one already."""
        with self._turn:
            if any(caller.tenant_id == tenant_id for _, caller in self._known.values()):
                return None
            path = self._folder / "api-key"
            if path.exists() and self.find(path.read_text().strip()) is not None:
                path = self._folder / f"api-key-{tenant_id}"  # the other is another tenant's, and valid
            with _private(path, self.issue(tenant_id, API_USER, now).encode() + b"\n") as written:
                written.replace(path)
            return path

    def reload(self) -> None:
        """Take over what was issued or revoked since."""
        table = api_keys.c
        valid = sa.select(table.id, table.digest, table.tenant_id, table.scopes).where(table.revoked_at.is_(None))
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(valid).all()
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"API keys could not be read: {error.orig}") from error
        self._known = {
            key_id: (digest, Caller(tenant_id, frozenset(msgspec.json.decode(scopes))))
            for key_id, digest, tenant_id, scopes in rows
        }

    def _digest(self, key_id: str, secret: str) -> bytes:
        return self._mac.of(f"{key_id}:{secret}".encode())


def _pepper(path: Path) -> bytes:
    if not path.exists():
        with _private(path, secrets.token_bytes(_PEPPER_BYTES)) as written, suppress(FileExistsError):
            os.link(written, path)  # unlike a rename it fails where another process was first, and that one's counts
    raw = path.read_bytes()
    if len(raw) != _PEPPER_BYTES:
        raise Refused(f"{path} is damaged: restore it from a backup; without it no API key can be checked")
    return raw


@contextmanager
def _private(path: Path, raw: bytes) -> Iterator[Path]:
    """A file beside `path`, whole, and readable by its owner alone from the first moment on; gone afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    staging = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        yield staging
    finally:
        staging.unlink(missing_ok=True)
