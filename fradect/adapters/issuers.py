"""Who may issue tokens: a YAML or JSON file of declarations, one algorithm and one set of keys each."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import yaml
from msgspec import Meta

from fradect.adapters.jwks_url import JwksUrl
from fradect.adapters.key_sets import Algorithm, KeySet, read_keys
from fradect.adapters.outward import Resolve, Target, is_allowed, system_resolve, target_of
from fradect.errors import InvalidInput, Refused
from fradect.settings import Network, Outward

_MOST_BYTES = 1024 * 1024

_Name = Annotated[str, Meta(min_length=1, max_length=512)]


class Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One issuer. `keys`: a file (PEM, JWKS or secret), from the declarations' folder on, or the https URL of a JWKS.

    `networks`: private ones in which the URL's host may be. `tenants`: those it may speak for; without, every one.
    `revoked`: values of `jti` or `sub` that are not taken.
    """

    issuer: _Name
    audience: _Name
    algorithm: Algorithm
    keys: _Name
    networks: tuple[_Name, ...] = ()
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


def read_issuers(
    path: Path, cache: Path, known: Mapping[str, Issuer], resolve: Resolve = system_resolve
) -> dict[str, Issuer]:
    """By name. InvalidInput when the file, or what it names, cannot be used; nothing is fetched yet.

    `cache`: a folder for fetched keys. `known`: issuers as they were; who keeps its URL keeps what was fetched. Hosts
    are looked up, once: one that has no address just now may have one later, one in a private network is refused.
    """
    found: dict[str, Issuer] = {}
    for number, declared in enumerate(_read(path).issuers):
        where = f"{path}, issuer {number + 1} ({declared.issuer[:80]})"
        if declared.issuer in found:
            raise InvalidInput(f"{where} is there twice: declare each issuer once, with one algorithm", field="issuer")
        if "://" in declared.keys:
            found[declared.issuer] = Issuer(
                declared, _fetched(declared, cache, known, _outward(declared, where, resolve))
            )
        else:
            found[declared.issuer] = Issuer(declared, _filed(declared, path, where))
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


def _fetched(declared: Declared, cache: Path, known: Mapping[str, Issuer], outward: Outward) -> JwksUrl:
    before = known.get(declared.issuer)
    source = None if before is None else before.source
    if source is not None and source.is_for(declared.keys, declared.algorithm, outward):
        return source
    return JwksUrl(declared.keys, declared.algorithm, cache, outward)


def _filed(declared: Declared, path: Path, where: str) -> KeySet:
    if declared.networks:
        raise InvalidInput(f"{where}: networks say where a URL's host may be; a file needs none", field="networks")
    try:
        return read_keys((path.parent / declared.keys).read_bytes(), declared.algorithm, declared.key_id)
    except OSError as error:
        raise InvalidInput(f"{where}: {declared.keys} cannot be read ({error.strerror})", field="keys") from error
    except Refused as error:
        raise InvalidInput(f"{where}: {declared.keys}: {error}", field="keys") from error


def _outward(declared: Declared, where: str, resolve: Resolve) -> Outward:
    """Where the URL may lead. Its port is the operator's word, its host is public or in a network that was named."""
    if declared.algorithm == "HS256":
        raise InvalidInput(f"{where}: the secret of HS256 is a file's, never fetched", field="keys")
    networks = tuple(_network(text, where) for text in declared.networks)
    outward = Outward(networks, http=True, ports=(range(1, 65_536),))
    try:
        target = target_of(declared.keys, outward)
    except InvalidInput as error:
        raise InvalidInput(f"{where}: keys: {str(error).removeprefix('url: ')}", field="keys") from error
    if target.scheme == "http" and not _is_loopback(target.host):
        raise InvalidInput(f"{where}: keys are fetched over https, plainly from this machine alone", field="keys")
    if not _is_reached(target, outward, resolve):
        remedy = "if that is meant, name its network in `networks`"
        raise InvalidInput(f"{where}: the host of the keys has an address that is not public; {remedy}", field="keys")
    return outward


def _network(text: str, where: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise InvalidInput(f"{where}: {error}: give networks like 10.1.0.0/16", field="networks") from error


def _is_reached(target: Target, outward: Outward, resolve: Resolve) -> bool:
    try:
        found = resolve(target.host, target.port)
    except (OSError, UnicodeError):
        return True  # whoever connects looks again, and then there has to be an address
    return all(is_allowed(address, outward) for address in found)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
