"""API keys: `fdk_live_<id>_<secret>`. The database holds an HMAC of the secret; the pepper is a file beside it."""

import hmac
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import sqlalchemy as sa

from fradect.adapters.mac import Mac
from fradect.adapters.tables import api_keys
from fradect.errors import InvalidInput, NotFound, Refused, Unavailable
from fradect.permissions import PERMISSIONS, ROLES
from fradect.ports import Caller

Kind = Literal["live", "test"]

_KEY = re.compile(r"fdk_(live|test)_([a-z0-9]{12})_([A-Za-z0-9_-]{43})")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_PEPPER_BYTES = 32
_t = api_keys.c


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to make. `expires_at` in microseconds, None for never; `by`: whoever makes it."""

    tenant_id: str
    permissions: frozenset[str]
    name: str = ""
    by: str = ""
    expires_at: int | None = None
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class KeyShown:
    """A key as the table has it, all but its secret; times in microseconds, the last use to within a minute."""

    id: str
    tenant_id: str
    kind: str
    name: str
    permissions: tuple[str, ...]
    created_at: int
    created_by: str
    expires_at: int | None
    last_used_at: int | None
    revoked_at: int | None
    revoked_by: str | None
    replaces: str | None

    def state(self, now: int) -> str:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: str
    digest: bytes
    caller: Caller
    expires_at: int | None


_NOBODY = _Entry("", bytes(32), Caller("", frozenset()), None)


class ApiKeys:
    """Callers by key, from memory; `reload` follows the table. A key's clear text exists when it is issued only.

    A tenant has keys of one kind: test keys where it is one of `test_tenants`, live keys where it is not. Keys of the
    other kind are nobody's.
    """

    def __init__(
        self,
        engine: sa.Engine,
        folder: Path,
        test_tenants: frozenset[str] = frozenset(),
        now: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """Refused when the pepper in `folder` is not what this class wrote; it is made when there is none."""
        self._engine = engine
        self._folder = folder
        self._test_tenants = test_tenants
        self._now = now
        self._mac = Mac(_pepper(folder / "pepper"))
        self._known: dict[str, _Entry] = {}
        self._used: set[str] = set()
        self._turn = threading.Lock()
        self.reload()

    def find(self, key: str) -> Caller | None:
        match = _KEY.fullmatch(key)
        if match is None:
            return None
        kind, key_id, secret = match.groups()
        entry = self._known.get(key_id, _NOBODY)
        if not hmac.compare_digest(entry.digest, self._digest(key_id, secret)) or entry.kind != kind:
            return None
        if entry.expires_at is not None and entry.expires_at <= self._now():
            return None
        self._used.add(key_id)
        return entry.caller

    def issue(self, tenant_id: str, permissions: Iterable[str], now: int) -> str:
        """A key without a name or an end."""
        return self.make(NewKey(tenant_id, frozenset(permissions)), now)

    def make(self, new: NewKey, now: int) -> str:
        """A new key in clear text, this once. InvalidInput for a permission that there is not."""
        key_id, clear, row = self._made(new, now)
        self._write(api_keys.insert(), row, f"the key {key_id}")
        self.reload()
        return clear

    def rotate(self, key_id: str, overlap: int, by: str) -> str:
        """A new key like this one, which ends `overlap` microseconds from now. NotFound unless it is valid."""
        old, now = self._valid(key_id), self._now()
        new = NewKey(old.tenant_id, frozenset(old.permissions), old.name, by, old.expires_at, old.id)
        _, clear, row = self._made(new, now)
        end = now + overlap if old.expires_at is None else min(old.expires_at, now + overlap)
        try:
            with self._engine.begin() as connection:
                connection.execute(api_keys.insert(), row)
                connection.execute(api_keys.update().where(_t.id == key_id).values(expires_at=end))
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"the key was not rotated: {error.orig}") from error
        self.reload()
        return clear

    def revoke(self, key_id: str, by: str) -> None:
        """From now on it is nobody's; services notice within seconds. NotFound unless it was valid."""
        self._valid(key_id)
        gone = api_keys.update().where(_t.id == key_id, _t.revoked_at.is_(None))
        self._write(gone.values(revoked_at=self._now(), revoked_by=by), {}, f"the end of {key_id}")
        self.reload()

    def first(self, tenant_id: str, now: int) -> Path | None:
        """Make the tenant's first key, into a file that its owner alone may read; None when there is one already."""
        with self._turn:
            if any(entry.caller.tenant_id == tenant_id for entry in self._known.values()):
                return None
            path = self._folder / "api-key"
            if path.exists() and self.find(path.read_text().strip()) is not None:
                path = self._folder / f"api-key-{tenant_id}"  # the other is another tenant's, and valid
            clear = self.make(NewKey(tenant_id, ROLES["api_user"], "first", "the service"), now)
            with _private(path, clear.encode() + b"\n") as written:
                written.replace(path)
            return path

    def shown(self, tenant_id: str | None = None) -> list[KeyShown]:
        """All that there are, or were, of all tenants or of one; the oldest first."""
        rows = sa.select(*(_t[name] for name in _SHOWN)).order_by(_t.created_at, _t.id)
        found = self._read(rows if tenant_id is None else rows.where(_t.tenant_id == tenant_id))
        return [_shown(row) for row in found]

    def reload(self) -> None:
        """Take over what was issued, revoked or has expired since."""
        rows = self._read(
            sa.select(_t.id, _t.kind, _t.digest, _t.tenant_id, _t.scopes, _t.expires_at).where(
                _t.revoked_at.is_(None), sa.or_(_t.expires_at.is_(None), _t.expires_at > self._now())
            )
        )
        self._known = {
            row.id: _Entry(
                row.kind, row.digest, Caller(row.tenant_id, frozenset(msgspec.json.decode(row.scopes)), row.id),
                row.expires_at,
            )
            for row in rows
            if row.kind == self._kind(row.tenant_id)
        }  # fmt: skip

    def note_uses(self) -> int:
        """Write down the keys that were used since the last time, as used now; how many they are."""
        used, self._used = self._used, set()
        if used:
            same = api_keys.update().where(_t.id == sa.bindparam("its_id"))
            rows = [{"its_id": key_id} for key_id in sorted(used)]
            try:
                self._write(same.values(last_used_at=self._now()), rows, "when keys were used")
            except Unavailable:
                self._used |= used
                raise
        return len(used)

    def _made(self, new: NewKey, now: int) -> tuple[str, str, dict[str, object]]:
        unknown = sorted(new.permissions - set(PERMISSIONS))
        if unknown:
            raise InvalidInput(f"permissions {unknown}: give some of {', '.join(PERMISSIONS)}", field="permissions")
        key_id = "".join(secrets.choice(_ALPHABET) for _ in range(12))
        secret, kind = secrets.token_urlsafe(32), self._kind(new.tenant_id)
        row: dict[str, object] = {
            "id": key_id,
            "tenant_id": new.tenant_id,
            "digest": self._digest(key_id, secret),
            "scopes": msgspec.json.encode(sorted(new.permissions)).decode(),
            "created_at": now,
            "kind": kind,
            "name": new.name,
            "created_by": new.by,
            "expires_at": new.expires_at,
            "replaces": new.replaces,
        }
        return key_id, f"fdk_{kind}_{key_id}_{secret}", row

    def _valid(self, key_id: str) -> KeyShown:
        for one in self.shown():
            if one.id == key_id and one.state(self._now()) == "valid":
                return one
        raise NotFound(f"no valid key is called {key_id[:64]!r}: see `fradect keys list`")

    def _kind(self, tenant_id: str) -> Kind:
        return "test" if tenant_id in self._test_tenants else "live"

    def _write(self, statement: sa.Executable, rows: object, what: str) -> None:
        try:
            with self._engine.begin() as connection:
                connection.execute(statement, rows or None)  # type: ignore[call-overload]  # one row or several
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"{what} was not stored: {error.orig}") from error

    def _read(self, statement: sa.Select[tuple[object, ...]]) -> list[sa.Row[tuple[object, ...]]]:
        try:
            with self._engine.connect() as connection:
                return list(connection.execute(statement).all())
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"API keys could not be read: {error.orig}") from error

    def _digest(self, key_id: str, secret: str) -> bytes:
        return self._mac.of(f"{key_id}:{secret}".encode())


_SHOWN = (*(name for name in KeyShown.__dataclass_fields__ if name != "permissions"), "scopes")


def _shown(row: "sa.Row[tuple[object, ...]]") -> KeyShown:
    held = dict(row._mapping)
    return KeyShown(permissions=tuple(msgspec.json.decode(held.pop("scopes"))), **held)


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
