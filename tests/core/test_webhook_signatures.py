"""Signatures of webhooks: Standard Webhooks' own library on the other end, both ways, and whatever is not genuine."""

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from fradect.errors import InvalidInput, Refused
from fradect.webhooks import TOLERANCE_SECONDS, check_secret, new_secret, sign, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""The standard's own example."""
BODY = b'{"test": 2432232314}'


def test_the_standards_own_vector() -> None:
    headers = sign([SECRET], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, BODY)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert verify([SECRET], headers, BODY, 1614265330) == "msg_p5jXN8AQM9LWM0D4loKWxJek"


@given(st.binary(min_size=24, max_size=64), st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=4))
def test_what_we_sign_their_library_verifies_and_the_other_way_round(key: bytes, held: dict[str, str]) -> None:
    secret, body = "whsec_" + base64.b64encode(key).decode(), json.dumps(held).encode()
    now = int(time.time())
    assert Webhook(secret).verify(body, sign([secret], "msg_1", now, body)) == held
    theirs = Webhook(secret).sign("msg_1", datetime.fromtimestamp(now, UTC), body.decode())
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": theirs}
    assert verify([secret], headers, body, now) == "msg_1"


def test_while_a_secret_is_replaced_whoever_has_either_is_content() -> None:
    old, new, now = new_secret(), new_secret(), int(time.time())
    headers = sign([new, old], "msg_1", now, BODY)
    for secret in (old, new):
        Webhook(secret).verify(BODY, headers)
        assert verify([secret], headers, BODY, now) == "msg_1"
        plain = hmac.digest(base64.b64decode(secret[6:]), b"%d." % now + BODY, hashlib.sha256).hex()
        assert f"sha256={plain}" in headers["X-Fradect-Signature"].split(",")
    only_new = sign([new], "msg_1", now, BODY)
    with pytest.raises(Refused):
        verify([old], only_new, BODY, now)
    assert verify([old, new], only_new, BODY, now) == "msg_1"


def test_five_minutes_either_way_and_no_longer() -> None:
    headers = sign([SECRET], "msg_1", 10_000, BODY)
    for now in (10_000 - TOLERANCE_SECONDS, 10_000.5, 10_000 + TOLERANCE_SECONDS):
        assert verify([SECRET], headers, BODY, now) == "msg_1"
    for now in (10_000 - TOLERANCE_SECONDS - 1, 10_000 + TOLERANCE_SECONDS + 0.5):
        with pytest.raises(Refused, match="replay"):
            verify([SECRET], headers, BODY, now)
    stale = sign([SECRET], "msg_1", int(time.time()) - 301, BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY, stale)


@given(st.sampled_from(["id", "timestamp", "signature", "body"]), st.data())
def test_one_changed_letter_anywhere_is_not_genuine(where: str, data: st.DataObject) -> None:
    headers, body = sign([SECRET], "msg_1abc", 10_000, BODY), BODY
    if where == "body":
        at = data.draw(st.integers(0, len(body) - 1))
        body = body[:at] + bytes([body[at] ^ data.draw(st.integers(1, 255))]) + body[at + 1 :]
    else:
        value = headers[f"webhook-{where}"]
        at = data.draw(st.integers(0, len(value) - 2))  # its last letter holds bits that base64 does not read
        other = data.draw(st.sampled_from("0123456789abcXYZ+/").filter(lambda sign: sign != value[at]))
        headers[f"webhook-{where}"] = value[:at] + other + value[at + 1 :]
    with pytest.raises(Refused):
        verify([SECRET], headers, body, 10_000)


HEADERS = [
    {},
    {"webhook-id": "msg_1"},
    {"webhook-id": "msg_1", "webhook-timestamp": "10000", "webhook-signature": ""},
    {"webhook-id": "msg_1", "webhook-timestamp": "10000.0", "webhook-signature": "v1,AAAA"},
    {"webhook-id": "msg_1", "webhook-timestamp": "-1", "webhook-signature": "v1,AAAA"},
    {"webhook-id": "msg_1", "webhook-timestamp": "1" * 400, "webhook-signature": "v1,AAAA"},
    {"webhook-id": "msg 1\n", "webhook-timestamp": "10000", "webhook-signature": "v1,AAAA"},
    {"webhook-id": "msg_1", "webhook-timestamp": "10000", "webhook-signature": "v1,not base64 v1,=== v2,AAAA v1a,x"},
]


@pytest.mark.parametrize("headers", HEADERS)
def test_headers_that_are_not_whole_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(Refused):
        verify([SECRET], headers, BODY, 10_000)


def test_headers_are_found_whatever_their_case() -> None:
    headers = {name.upper(): value for name, value in sign([SECRET], "msg_1", 10_000, BODY).items()}
    assert verify([SECRET], headers, BODY, 10_000) == "msg_1"


@pytest.mark.parametrize("text", ["", "hunter2", "whsec_=", "whsec_c2hvcnQ=", "whsec_" + "A" * 100, "whsec_ä" * 8])
def test_a_secret_is_one_of_the_standard_or_none(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_secret(text)
    assert refused.value.field == "secret"
    assert text == "" or text not in str(refused.value)
    assert check_secret(new_secret()) != new_secret()
