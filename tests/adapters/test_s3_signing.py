"""Signatures, against Amazon's published examples and its own client."""

import hashlib
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from fradect.adapters.s3_signing import Signable, Signer, path_of, query_of

EMPTY = hashlib.sha256(b"").hexdigest()
KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
DAY = datetime(2013, 5, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("request_", "signature"),
    [
        (
            Signable("GET", "/test.txt", "", {"Range": "bytes=0-9"}, EMPTY),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            Signable("GET", "/", query_of([("prefix", "J"), ("max-keys", "2")]), {}, EMPTY),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_the_examples_in_the_manual(request_: Signable, signature: str) -> None:
    headers = {"Host": "examplebucket.s3.amazonaws.com", **request_.headers}
    whole = Signable(request_.method, request_.path, request_.query, headers, request_.payload)
    signed = Signer(KEY, SECRET, None, "us-east-1").headers(whole, DAY)
    assert signed["authorization"].endswith(f"Signature={signature}")


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(TEXT, st.lists(st.tuples(TEXT, TEXT), max_size=3, unique_by=lambda pair: pair[0]), st.booleans())
def test_any_key_and_query_is_signed_as_amazons_own_client_signs_it(
    key: str, pairs: list[tuple[str, str]], has_token: bool
) -> None:
    path, query = path_of(f"bucket/{key}"), query_of(pairs)
    token = "tok/en+==" if has_token else None
    theirs = AWSRequest("PUT", f"http://127.0.0.1:9000{path}?{query}", {"if-match": '"e"'}, b"body")
    theirs.context["timestamp"] = "20261123T140000Z"
    theirs.context["payload_signing_enabled"] = True
    auth = _At(Credentials(KEY, SECRET, token), "s3", "eu-west-3")
    auth.add_auth(theirs)
    headers = {"host": urlsplit(theirs.url).netloc, "if-match": '"e"'}
    payload = hashlib.sha256(b"body").hexdigest()
    signer = Signer(KEY, SECRET, token, "eu-west-3")
    ours = signer.headers(Signable("PUT", path, query, headers, payload), datetime(2026, 11, 23, 14, tzinfo=UTC))
    assert (
        ours["authorization"].rpartition("Signature=")[2]
        == str(theirs.headers["Authorization"]).rpartition("Signature=")[2]
    )


class _At(S3SigV4Auth):  # type: ignore[misc]
    """At the moment that the test says, with the body's digest."""

    def add_auth(self, request: AWSRequest) -> None:
        self._modify_request_before_signing(request)
        canonical = self.canonical_request(request)
        self._inject_signature_to_request(request, self.signature(self.string_to_sign(request, canonical), request))

    def _modify_request_before_signing(self, request: AWSRequest) -> None:
        request.headers["X-Amz-Date"] = request.context["timestamp"]
        if self.credentials.token:
            request.headers["X-Amz-Security-Token"] = self.credentials.token
        request.headers["X-Amz-Content-SHA256"] = self.payload(request)


def test_nothing_that_is_printed_holds_the_secret() -> None:
    assert SECRET not in repr(Signer(KEY, SECRET, "token", "us-east-1"))
    assert "token" not in repr(Signer(KEY, SECRET, "token", "us-east-1"))
