"""Tokens and keys for tests: good ones, and every way in which a token can be wrong."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

ISSUER, AUDIENCE, KID = "https://login.example.com/", "fradect", "2026-11"
SECRET = b"k" * 40
RSA = generate_private_key(public_exponent=65537, key_size=2048)
STRANGER = generate_private_key(public_exponent=65537, key_size=2048)
EDWARDS = Ed25519PrivateKey.generate()


def claims(**changes: Any) -> dict[str, Any]:
    """Of a token that is good for five minutes; None leaves a claim out."""
    held = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "user_1",
        "exp": int(time.time()) + 300,
        "tenant_id": "demo",
        "role": "api_user",
    } | changes
    return {name: value for name, value in held.items() if value is not None}


def token(key: Any = RSA, algorithm: str = "RS256", headers: dict[str, Any] | None = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers={"kid": KID, **(headers or {})})


def assembled(header: dict[str, Any], payload: Any, signature: bytes = b"") -> str:
    """Parts put together by hand, as no library would."""
    parts = (json.dumps(header).encode(), payload if isinstance(payload, bytes) else json.dumps(payload).encode())
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, signature))


def by_hand(header: dict[str, Any], payload: Any) -> str:
    """With RSA's good signature over anything, also what a library refuses to sign."""
    unsigned = assembled(header, payload).rpartition(".")[0]
    signature = RSA.sign(unsigned.encode(), PKCS1v15(), SHA256())
    return f"{unsigned}.{assembled({}, {}, signature).rpartition('.')[2]}"


def public_pem(key: RSAPrivateKey | Ed25519PrivateKey = RSA) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(key: RSAPrivateKey = RSA) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def jwks(*named: tuple[str, RSAPrivateKey | Ed25519PrivateKey]) -> bytes:
    keys = []
    for kid, key in named:
        kind: Any = jwt.algorithms.RSAAlgorithm if isinstance(key, RSAPrivateKey) else jwt.algorithms.OKPAlgorithm
        keys.append({**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"})
    return json.dumps({"keys": keys}).encode()


def declare(folder: Path, keys: bytes | str | None = None, **changes: Any) -> Path:
    """A file of declarations with one issuer, RS256 unless told otherwise; `keys`: content of a file, or a URL."""
    folder.mkdir(parents=True, exist_ok=True)
    one = {"issuer": ISSUER, "audience": AUDIENCE, "algorithm": "RS256", "keys": "keys.jwks"} | changes
    if isinstance(keys, str):
        one["keys"] = keys
    else:
        (folder / one["keys"]).write_bytes(jwks((KID, RSA)) if keys is None else keys)
    path = folder / "issuers.yaml"
    path.write_text(json.dumps({"issuers": [{k: v for k, v in one.items() if v is not None}]}))
    return path
