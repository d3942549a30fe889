"""Who may issue tokens: a YAML or JSON file of declarations, one algorithm and one set of keys each."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
import yaml
from msgspec import Meta

from fradect.adapters.jwks_url import JwksUrl
from fradect.adapters.key_sets import Algorithm, KeySet, read_keys
from fradect.errors import InvalidInput, Refused

_MOST_BYTES = 1024 * 1024

_Name = Annotated[str, Meta(min_length=1, max_length=512)]


class Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One issuer. `keys`: a file (PEM, JWKS or secret), from the declarations' folder on, or the https URL of a JWKS.

    `tenants`: those it may speak for; without, every one. `revoked`: values of `jti` or `sub` that are not taken.
    """

    issuer: _Name
    audience: _Name
    algorithm: Algorithm
    keys: _Name
    key_id: _Name | None = None
    tenant_claim: _Name = "tenant_id"
    role_claim: _Name = "role"
    leeway_seconds: Annotated[int, Meta(ge=0, le=300)] = 30
    tenants: frozenset[str] | None = None
    revoked: frozenset[str] = frozenset()


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    issuers: tuple[Declared, ...]


class Issuer:
    """A declaration and its keys: those of a file are fixed, those of a URL are as last fetched."""

    def __init__(self, declared: Declared, keys: KeySet | JwksUrl) -> None:
        self.declared = declared
        self.source = keys if isinstance(keys, JwksUrl) else None
        self._fixed: KeySet = {} if isinstance(keys, JwksUrl) else keys

    @property
    def keys(self) -> KeySet:
        return self._fixed if self.source is None else self.source.keys


def read_issuers(path: Path, cache: Path, known: Mapping[str, Issuer]) -> dict[str, Issuer]:
    """By name. InvalidInput when the file, or what it names, cannot be used; nothing is fetched yet.

    `cache`: a folder for fetched keys. `known`: issuers as they were; who keeps its URL keeps what was fetched.
    """
    found: dict[str, Issuer] = {}
    for number, declared in enumerate(_read(path).issuers):
        where = f"{path}, issuer {number + 1} ({declared.issuer[:80]})"
        if declared.issuer in found:
            raise InvalidInput(f"{where} is there twice: declare each issuer once, with one algorithm", field="issuer")
        found[declared.issuer] = Issuer(declared, _keys(declared, path, cache, known, where))
    return found


def _read(path: Path) -> _File:
    try:
        raw = path.read_bytes()
        if len(raw) > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES} bytes")
        return msgspec.convert(yaml.safe_load(raw), _File)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        why = " ".join(str(error).split())
        raise InvalidInput(
            f"FRADECT_ISSUERS={path} cannot be used ({why}): see docs/concepts/identity.md", field="FRADECT_ISSUERS"
        ) from error


def _keys(declared: Declared, path: Path, cache: Path, known: Mapping[str, Issuer], where: str) -> KeySet | JwksUrl:
    if "://" in declared.keys:
        _check_url(declared, where)
        before = known.get(declared.issuer)
        if before is not None and before.source is not None and before.source.is_for(declared.keys, declared.algorithm):
            return before.source
        return JwksUrl(declared.keys, declared.algorithm, cache)
    try:
        return read_keys((path.parent / declared.keys).read_bytes(), declared.algorithm, declared.key_id)
    except OSError as error:
        raise InvalidInput(f"{where}: {declared.keys} cannot be read ({error.strerror})", field="keys") from error
    except Refused as error:
        raise InvalidInput(f"{where}: {declared.keys}: {error}", field="keys") from error


def _check_url(declared: Declared, where: str) -> None:
    url = urlsplit(declared.keys)
    if declared.algorithm == "HS256":
        raise InvalidInput(f"{where}: the secret of HS256 is a file's, never fetched", field="keys")
    if url.scheme != "https" and not (url.scheme == "http" and _is_loopback(url.hostname or "")):
        raise InvalidInput(f"{where}: keys are fetched over https, plainly from this machine alone", field="keys")
    if url.username is not None or not url.hostname:
        raise InvalidInput(f"{where}: give the URL of a JWKS, without user and password", field="keys")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
