"""Signed tokens: the good ones are their tenant's, and everything that can be wrong with one makes it nobody's."""

import hashlib
import hmac
import json
import os
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from fradect.adapters import tokens
from fradect.adapters.tokens import JwtTokens
from fradect.errors import InvalidInput
from fradect.permissions import ROLES
from tests.factories_tokens import (
    AUDIENCE,
    EDWARDS,
    ISSUER,
    KID,
    RSA,
    SECRET,
    STRANGER,
    assembled,
    by_hand,
    claims,
    declare,
    jwks,
    private_pem,
    public_pem,
    token,
)


def _tokens(folder: Path, **declared: Any) -> JwtTokens:
    return JwtTokens(declare(folder, **declared), folder / "cache")


def _signed(header: dict[str, Any], payload: Any, secret: bytes) -> str:
    """HS256 over anything, also what a library refuses to sign."""
    unsigned = assembled(header, payload).rpartition(".")[0]
    signature = hmac.digest(secret, unsigned.encode(), "sha256")
    return f"{unsigned}.{assembled({}, {}, signature).rpartition('.')[2]}"


@pytest.mark.parametrize(
    ("algorithm", "key", "content"),
    [("RS256", RSA, public_pem()), ("EdDSA", EDWARDS, public_pem(EDWARDS)), ("HS256", SECRET, SECRET + b"\n")],
)
def test_a_good_token_is_its_tenants_with_its_roles_permissions(
    tmp_path: Path, algorithm: str, key: Any, content: bytes
) -> None:
    found = _tokens(tmp_path, keys=content, algorithm=algorithm, key_id=KID)
    caller = found.find(token(key, algorithm))
    assert caller is not None
    assert (caller.tenant_id, caller.permissions) == ("demo", ROLES["api_user"])
    assert caller.id == f"{ISSUER}|user_1"


def test_keys_come_from_a_jwks_too_and_are_found_by_name_alone(tmp_path: Path) -> None:
    found = _tokens(tmp_path, keys=jwks(("a", RSA), ("b", STRANGER), ("ed", EDWARDS)))
    assert found.find(token(RSA, headers={"kid": "a"})) is not None
    assert found.find(token(STRANGER, headers={"kid": "b"})) is not None
    assert found.find(token(STRANGER, headers={"kid": "a"})) is None
    assert found.find(token(EDWARDS, "EdDSA", {"kid": "ed"})) is None  # the issuer's one algorithm is RS256
    assert found.find(jwt.encode(claims(), RSA, algorithm="RS256")) is None  # of two keys none is meant


def test_a_key_without_a_name_is_for_tokens_that_name_none(tmp_path: Path) -> None:
    found = _tokens(tmp_path, keys=public_pem())
    assert found.find(jwt.encode(claims(), RSA, algorithm="RS256")) is not None
    assert found.find(token()) is None


@pytest.mark.parametrize(
    ("roles", "may"),
    [
        ("admin", ROLES["admin"]),
        (["analyst", "api_user"], ROLES["analyst"] | ROLES["api_user"]),
        (["janitor"], frozenset()),
        (None, frozenset()),
    ],
)
def test_permissions_are_those_of_all_roles_and_none_without(tmp_path: Path, roles: Any, may: frozenset[str]) -> None:
    caller = _tokens(tmp_path).find(token(role=roles))
    assert caller is not None
    assert caller.permissions == may


def test_tenant_and_role_can_be_other_claims(tmp_path: Path) -> None:
    found = _tokens(tmp_path, tenant_claim="https://example.com/shop", role_claim="groups")
    changes: dict[str, Any] = {"https://example.com/shop": "acme", "groups": ["analyst"]}
    caller = found.find(token(**changes))
    assert caller is not None
    assert (caller.tenant_id, caller.permissions) == ("acme", ROLES["analyst"])


_NOW = int(time.time())
_RS = {"alg": "RS256", "typ": "JWT", "kid": KID}
WRONG = {
    "no algorithm": assembled({"alg": "none", "typ": "JWT", "kid": KID}, claims()),
    "NONE in capitals": assembled({"alg": "NONE", "kid": KID}, claims()),
    "the public key taken for a secret": _signed({**_RS, "alg": "HS256"}, claims(), public_pem()),
    "another algorithm of the same key": token(RSA, "RS512"),
    "PSS instead of PKCS1": token(RSA, "PS256"),
    "signed by a stranger": token(STRANGER),
    "a changed payload": assembled(_RS, claims(tenant_id="other"), b"x" * 256),
    "a path as kid": token(headers={"kid": "../../../../dev/null"}),
    "SQL as kid": token(headers={"kid": "x' UNION SELECT 'k' --"}),
    "a list as kid": by_hand({**_RS, "kid": [KID]}, claims()),
    "no kid that is known": token(headers={"kid": "2031-01"}),
    "jku": token(headers={"jku": "http://169.254.169.254/keys"}),
    "x5u": token(headers={"x5u": "https://attacker.example/cert"}),
    "jwk": token(STRANGER, headers={"jwk": json.loads(jwks(("a", STRANGER)))["keys"][0]}),
    "x5c": token(STRANGER, headers={"x5c": ["MIIB"]}),
    "crit": token(headers={"crit": ["exp"]}),
    "crit of b64": token(headers={"crit": ["b64"], "b64": True}),
    "another kind": token(headers={"typ": "dpop+jwt"}),
    "a kind that is no text": by_hand({**_RS, "typ": 5}, claims()),
    "no exp": token(exp=None),
    "no aud": token(aud=None),
    "no iss": token(iss=None),
    "no sub": token(sub=None),
    "no tenant": token(tenant_id=None),
    "another audience": token(aud="elsewhere"),
    "another issuer": token(iss="https://attacker.example/"),
    "an issuer but for its slash": token(iss=ISSUER.rstrip("/")),
    "an issuer that is a list": by_hand(_RS, claims(iss=[ISSUER])),
    "expired": token(exp=_NOW - 31),
    "long expired": token(exp=1),
    "not valid yet": token(nbf=_NOW + 600),
    "issued in the future": token(iat=_NOW + 600),
    "exp as text": token(exp=str(_NOW + 300)),
    "exp as truth": token(exp=True),
    "infinite exp": token(exp=float("inf")),
    "exp that is no number": token(exp=float("nan")),
    "exp beyond floats": by_hand(_RS, json.dumps(claims(exp=5)).replace(": 5,", ": 1e400,").encode()),
    "an empty tenant": token(tenant_id=""),
    "a tenant that is a list": token(tenant_id=["demo", "other"]),
    "a tenant that is a number": token(tenant_id=7),
    "a subject that is a number": by_hand(_RS, claims(sub=7)),
    "roles that are a number": token(role=7),
    "roles that hold one": token(role=["admin", 7]),
    "nested as deep as fits": by_hand(_RS, b"[" * 5_000),
    "a payload that is a list": by_hand(_RS, [1]),
    "a header that is a list": ".".join(("WzFd", "e30", "eA")),
    "two parts": token().rpartition(".")[0],
    "four parts": token() + ".x",
    "without padding rules": token() + "=",
    "nothing": "",
    "text": "not a token",
    "NUL": "\x00",
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_anything_odd_makes_a_token_nobodys(tmp_path: Path, text: str) -> None:
    assert _tokens(tmp_path).find(text) is None


def test_what_is_put_together_by_hand_would_be_good_but_for_what_is_odd(tmp_path: Path) -> None:
    assert _tokens(tmp_path).find(by_hand(_RS, claims())) is not None


def test_skew_is_forgiven_as_far_as_declared_and_no_further(tmp_path: Path) -> None:
    found = _tokens(tmp_path, leeway_seconds=60)
    now = int(time.time())
    assert found.find(token(exp=now - 30)) is not None
    assert found.find(token(nbf=now + 30)) is not None
    assert found.find(token(exp=now - 62)) is None
    strict = _tokens(tmp_path, leeway_seconds=0)
    assert strict.find(token(exp=now - 2)) is None


def test_an_issuer_speaks_for_the_tenants_it_was_given(tmp_path: Path) -> None:
    found = _tokens(tmp_path, tenants=["demo"])
    assert found.find(token()) is not None
    assert found.find(token(tenant_id="other")) is None


def test_what_is_revoked_is_nobodys_once_the_file_says_so(tmp_path: Path) -> None:
    found = _tokens(tmp_path)
    first, second = token(jti="t1"), token(sub="user_2")
    assert found.find(first) is not None
    assert found.find(second) is not None
    declare(tmp_path, revoked=["t1", "user_2"])
    found.follow()
    assert found.find(first) is None
    assert found.find(second) is None
    assert found.find(token(jti="t2")) is not None


def test_a_key_that_was_withdrawn_takes_its_tokens_along(tmp_path: Path) -> None:
    found = _tokens(tmp_path)
    good = token()
    assert found.find(good) is not None
    declare(tmp_path, keys=jwks((KID, STRANGER)), leeway_seconds=29)
    found.follow()
    assert found.find(good) is None
    assert found.find(token(STRANGER)) is not None


def test_declarations_that_cannot_be_used_leave_those_before_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = _tokens(tmp_path)
    (tmp_path / "issuers.yaml").write_text("issuers: [")
    found.follow()
    found.follow()
    assert found.find(token()) is not None
    assert len(caplog.records) == 1  # said once, not every two seconds


def test_a_good_token_is_verified_once_and_no_longer_than_it_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    real = tokens._verified

    def counted(text: str, *rest: Any) -> Any:
        verified.append(text)
        return real(text, *rest)

    monkeypatch.setattr(tokens, "_verified", counted)
    at = [time.time()]
    found = JwtTokens(declare(tmp_path), tmp_path / "cache", lambda: at[0])
    good = token()
    assert found.find(good) == found.find(good) is not None
    assert len(verified) == 1
    at[0] += 301  # the clock of PyJWT stands still, ours says that it has expired: it is looked at again
    found.find(good)
    assert len(verified) == 2


def test_tokens_that_are_remembered_are_bounded_and_kept_as_digests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "_MOST_KNOWN", 3)
    found = _tokens(tmp_path)
    given = [token(sub=f"user_{i}") for i in range(5)]
    assert all(found.find(one) for one in given)
    assert set(found._known) == {hashlib.sha256(one.encode()).digest() for one in given[2:]}


def test_without_declarations_every_token_is_nobodys(tmp_path: Path) -> None:
    found = JwtTokens(None, tmp_path)
    found.follow()
    assert found.find(token()) is None


WEAK = generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505  that it is refused is the test


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        ({"keys": b"8 bytes.", "algorithm": "HS256"}, "32 random ones or more"),
        ({"keys": public_pem(), "algorithm": "HS256"}, "wants a secret"),
        ({"keys": public_pem(EDWARDS)}, "not one for RS256"),
        ({"keys": public_pem(), "algorithm": "EdDSA"}, "not one for EdDSA"),
        ({"keys": public_pem(WEAK)}, "2048 or more"),
        ({"keys": private_pem()}, "give the public key"),
        ({"keys": b"-----BEGIN PUBLIC KEY-----\nnonsense"}, "neither a public key"),
        ({"keys": b'{"keys": []}'}, "0 keys"),
        ({"keys": b'{"keys": 5}'}, "no JWKS"),
        ({"keys": jwks(("a", RSA), ("a", STRANGER))}, "no two the same"),
        ({"keys": jwks(("a", EDWARDS))}, "0 keys of this JWKS fit RS256"),
        ({"keys": b'{"keys": [{"kty": "RSA", "kid": "a", "n": "!", "e": "AQAB"}]}'}, "cannot be read"),
        ({"keys": b'{"keys": [{"kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB", "d": "AQAB"}]}'}, "private key"),
        ({"keys": b'{"keys": [{"kty": "oct", "kid": "a", "k": "c2hvcnQ"}]}', "algorithm": "HS256"}, "32 random"),
        ({"keys": b'{"keys": [{"kty": "OKP", "kid": "a", "crv": "Ed448", "x": "AA"}]}', "algorithm": "EdDSA"}, "Ed255"),
        ({"algorithm": "RS512"}, "algorithm"),
        ({"algorithm": "none"}, "algorithm"),
        ({"algorithm": None}, "algorithm"),
        ({"audience": None}, "audience"),
        ({"audience": ""}, "audience"),
        ({"leeway_seconds": 3600}, "leeway"),
        ({"colour": "red"}, "colour"),
        ({"keys": "http://login.example.com/jwks"}, "https"),
        ({"keys": "file:///etc/passwd"}, "https"),
        ({"keys": "https://user:pw@login.example.com/jwks"}, "leave out user"),
        ({"keys": "https:///jwks"}, "the host is not valid"),
        ({"keys": "https://login.example.com/jwks", "algorithm": "HS256"}, "never fetched"),
    ],
)
def test_declarations_that_would_be_unsafe_stop_the_start(tmp_path: Path, declared: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        _tokens(tmp_path, **declared)


def test_a_file_that_is_not_there_or_declares_twice_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"identity\.md"):
        JwtTokens(tmp_path / "none.yaml", tmp_path)
    path = declare(tmp_path)
    path.write_text(json.dumps({"issuers": 2 * json.loads(path.read_text())["issuers"]}))
    with pytest.raises(InvalidInput, match="twice"):
        JwtTokens(path, tmp_path)
    os.unlink(tmp_path / "keys.jwks")
    with pytest.raises(InvalidInput, match="cannot be read"):
        JwtTokens(declare(tmp_path, keys="missing.pem"), tmp_path)


def test_two_issuers_keep_their_algorithms_and_keys_apart(tmp_path: Path) -> None:
    other = "https://second.example/"
    path = declare(tmp_path)
    both = json.loads(path.read_text())
    (tmp_path / "secret").write_bytes(SECRET)
    both["issuers"].append({"issuer": other, "audience": AUDIENCE, "algorithm": "HS256", "keys": "secret"})
    path.write_text(json.dumps(both))
    found = JwtTokens(path, tmp_path)
    assert found.find(token()) is not None
    assert found.find(jwt.encode(claims(iss=other), SECRET, algorithm="HS256")) is not None
    assert found.find(jwt.encode(claims(iss=ISSUER), SECRET, algorithm="HS256")) is None
    assert found.find(token(iss=other)) is None
