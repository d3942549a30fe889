"""Signed tokens (JWT): whom they speak for, by issuers that a file declares. Anything odd is nobody."""

import hashlib
import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jwt

from fradect.adapters.issuers import Declared, Issuer, read_issuers
from fradect.adapters.key_sets import find_key
from fradect.errors import InvalidInput
from fradect.permissions import permissions_of
from fradect.ports import Caller

log = logging.getLogger(__name__)

_MOST_KNOWN = 10_000
_REQUIRED = ["exp", "iss", "aud", "sub"]
_TYPES = (None, "jwt", "at+jwt", "application/at+jwt")
_NEVER = ("crit", "b64", "jku", "x5u", "jwk", "x5c")
_LONGEST = 512


class _Known(dict[bytes, tuple[float, Caller]]):
    """Tokens that were good, by their SHA-256, and until when; as long as issuers and keys are what they were."""

    def __init__(self, issuers: Mapping[str, Issuer]) -> None:
        super().__init__()
        self.issuers = issuers

    def remember(self, digest: bytes, until: float, caller: Caller) -> None:
        if len(self) >= _MOST_KNOWN:
            del self[next(iter(self))]
        self[digest] = until, caller


class JwtTokens:
    """Callers by token. `find` is for requests and waits for nothing; `follow` is for one thread beside them."""

    def __init__(self, declarations: Path | None, cache: Path, now: Callable[[], float] = time.time) -> None:
        """InvalidInput when the declarations cannot be used. Without any, every token is nobody's."""
        self._path, self._cache, self._now = declarations, cache, now
        self._mark: object = None
        self._known = _Known({})
        self._read()

    def find(self, token: str) -> Caller | None:
        known, digest = self._known, hashlib.sha256(token.encode()).digest()
        until, caller = known.get(digest, (0.0, None))
        if caller is not None and self._now() < until:
            return caller
        try:
            until, caller = _verified(token, known.issuers)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
            known.pop(digest, None)
            return None
        known.remember(digest, until, caller)
        return caller

    def follow(self) -> None:
        """Take over changed declarations and keys. Those that cannot be used are logged, and the ones before stay."""
        try:
            self._read()
        except InvalidInput as error:
            log.error("%s; issuers stay as they were", error)
        sources = [issuer.source for issuer in self._known.issuers.values() if issuer.source is not None]
        changed = [source.refresh() for source in sources]
        if any(changed):
            self._known = _Known(self._known.issuers)

    def _read(self) -> None:
        if self._path is None:
            return
        mark = _mark(self._path)
        if mark != self._mark:
            self._mark = mark
            self._known = _Known(read_issuers(self._path, self._cache, self._known.issuers))


def _mark(path: Path) -> object:
    try:
        stat = path.stat()
    except OSError:
        return "absent"
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _verified(token: str, issuers: Mapping[str, Issuer]) -> tuple[float, Caller]:
    """Until when, and who. Any of half a dozen errors otherwise; which one is nobody's business."""
    header = jwt.get_unverified_header(token)
    _check_header(header)
    issuer = issuers[_text(jwt.decode(token, options={"verify_signature": False}), "iss")]
    declared = issuer.declared
    key = find_key(issuer.keys, header.get("kid"))
    if key is None:
        if issuer.source is not None:
            issuer.source.miss()
        raise KeyError("kid")
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=[declared.algorithm],
        issuer=declared.issuer,
        audience=declared.audience,
        leeway=declared.leeway_seconds,
        options={"require": _REQUIRED},
    )
    return _until(claims), _caller(claims, declared)


def _check_header(header: Mapping[str, Any]) -> None:
    kind = header.get("typ")
    if (kind.lower() if isinstance(kind, str) else kind) not in _TYPES:
        raise ValueError("typ")
    if any(name in header for name in _NEVER):
        raise ValueError("a header that we do not follow")


def _until(claims: Mapping[str, Any]) -> float:
    until = claims["exp"]
    if type(until) not in (int, float) or not math.isfinite(until):
        raise TypeError("exp")
    return float(until)


def _caller(claims: Mapping[str, Any], declared: Declared) -> Caller:
    tenant, subject = _text(claims, declared.tenant_claim), _text(claims, "sub")
    if declared.tenants is not None and tenant not in declared.tenants:
        raise ValueError("this issuer does not speak for that tenant")
    if not declared.revoked.isdisjoint(one for one in (subject, claims.get("jti")) if isinstance(one, str)):
        raise ValueError("revoked")
    return Caller(tenant, permissions_of(_roles(claims.get(declared.role_claim, []))), f"{declared.issuer}|{subject}")


def _roles(claim: object) -> list[str]:
    roles = [claim] if isinstance(claim, str) else claim
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise TypeError("role")
    return roles


def _text(claims: Mapping[str, Any], name: str) -> str:
    text = claims[name]
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST:
        raise TypeError(name)
    return text
