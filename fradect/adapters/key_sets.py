"""Keys that tokens are checked with: PEM, JWKS and secrets, each for one algorithm. Private keys are never taken."""

from collections.abc import Mapping
from typing import Any, Literal

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from fradect.errors import Refused

Algorithm = Literal["RS256", "EdDSA", "HS256"]
Key = RSAPublicKey | Ed25519PublicKey | bytes
KeySet = Mapping[str | None, Key]
"""By the name that a token gives, `kid`. A key without a name is None's, and then the only one."""

LEAST_SECRET_BYTES = 32
LEAST_RSA_BITS = 2048
_MOST_KEYS = 64
_KINDS = {"RS256": "RSA", "EdDSA": "OKP", "HS256": "oct"}


class _Jwks(msgspec.Struct, frozen=True):
    keys: tuple[dict[str, Any], ...]


def read_keys(raw: bytes, algorithm: Algorithm, name: str | None) -> KeySet:
    """From a file's content: a JWKS if it is JSON, else a PEM, or the secret itself. Refused when it is none of these,
    or too weak. `name`: the key's, where the content gives none."""
    if raw.lstrip()[:1] == b"{":
        return read_jwks(raw, algorithm)
    if algorithm != "HS256":
        return {name: _checked(_public(raw), algorithm)}
    if raw.lstrip().startswith(b"-----BEGIN"):
        raise Refused("HS256 wants a secret, and this is a PEM: whoever knows a public key could sign with it")
    return {name: _checked(raw.rstrip(b"\r\n"), algorithm)}


def read_jwks(raw: bytes, algorithm: Algorithm) -> KeySet:
    """Those of a JWKS (RFC 7517) that fit the algorithm; others in it are for something else. Refused when none is."""
    try:
        given = msgspec.json.decode(raw, type=_Jwks).keys
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"this is no JWKS ({error})") from error
    fitting = [jwk for jwk in given if _fits(jwk, algorithm)]
    if not 0 < len(fitting) <= _MOST_KEYS:
        raise Refused(f"{len(fitting)} keys of this JWKS fit {algorithm}: give 1 to {_MOST_KEYS}")
    keys: dict[str | None, Key] = {}
    for jwk in fitting:
        kid = jwk.get("kid")
        if not isinstance(kid, str | None) or kid in keys or (kid is None and len(fitting) > 1):
            raise Refused("keys of a JWKS need a kid each, no two the same")
        keys[kid] = _checked(_of_jwk(jwk), algorithm)
    return keys


def find_key(keys: KeySet, kid: object) -> Key | None:
    """The key of that name, and nothing else; without a name the only key."""
    if kid is None:
        return next(iter(keys.values())) if len(keys) == 1 else None
    return keys.get(kid) if isinstance(kid, str) else None


def _fits(jwk: Mapping[str, Any], algorithm: Algorithm) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    return (
        jwk.get("kty") == _KINDS[algorithm]
        and jwk.get("alg", algorithm) == algorithm
        and jwk.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
    )


def _of_jwk(jwk: dict[str, Any]) -> object:
    if "d" in jwk:
        raise Refused("a JWKS with a private key: publish public keys alone, and replace that one")
    if jwk["kty"] == "OKP" and jwk.get("crv") != "Ed25519":
        raise Refused(f"EdDSA keys are of Ed25519, not {str(jwk.get('crv'))[:32]!r}")
    try:
        key: object = jwt.PyJWK(jwk, algorithm={kind: name for name, kind in _KINDS.items()}[jwk["kty"]]).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
        raise Refused(f"a key of the JWKS cannot be read ({error})") from error
    return key


def _public(raw: bytes) -> object:
    try:
        return load_pem_public_key(raw)
    except (ValueError, UnsupportedAlgorithm) as error:
        what = "a private key" if b"PRIVATE KEY" in raw else "neither a public key in PEM nor a JWKS"
        raise Refused(f"this is {what}: give the public key, as -----BEGIN PUBLIC KEY-----") from error


def _checked(key: object, algorithm: Algorithm) -> Key:
    match algorithm, key:
        case "RS256", RSAPublicKey() as rsa:
            if rsa.key_size < LEAST_RSA_BITS:
                raise Refused(f"an RSA key of {rsa.key_size} bits: use one of {LEAST_RSA_BITS} or more")
            return rsa
        case "EdDSA", Ed25519PublicKey() as edwards:
            return edwards
        case "HS256", bytes() as secret:
            if len(secret) < LEAST_SECRET_BYTES:
                raise Refused(f"a secret of {len(secret)} bytes: use {LEAST_SECRET_BYTES} random ones or more")
            return secret
    raise Refused(f"this key is not one for {algorithm}")
