"""The client's verifier takes what the service signs, and what Standard Webhooks' library signs, and nothing else."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from fradect.webhooks import new_secret, sign
from fradect_client import InvalidArgument, NotGenuine, receive, verify
from fradect_client.webhooks import DecisionTold, WebhookTold

NOW = 1_759_314_600
SECRET = new_secret()
BODY = (
    b'{"event":"risk.decision.created","data":{"decision_id":"dec_1","entity_type":"transaction","entity_id":"t",'
    b'"score":720,"decision":"REVIEW","later":1},"timestamp":"2025-10-01T10:30:00Z"}'
)


def test_what_the_service_signs_is_read() -> None:
    message = receive(SECRET, sign([SECRET], "msg_1", NOW, BODY), BODY, now=NOW)
    assert (message.id, message.event) == ("msg_1", "risk.decision.created")
    assert message.timestamp == datetime(2025, 10, 1, 10, 30, tzinfo=UTC)
    assert message.data == DecisionTold("dec_1", "transaction", "t", 720, "REVIEW")


def test_a_test_and_an_event_that_is_not_known_are_read_too() -> None:
    for event, data in (("webhook.test", WebhookTold("wh_1")), ("risk.of.tomorrow", None)):
        body = b'{"event":"%s","data":{"webhook_id":"wh_1"},"timestamp":"2025-10-01T10:30:00Z"}' % event.encode()
        assert receive(SECRET, sign([SECRET], "msg_1", NOW, body), body, now=NOW).data == data


def test_what_the_standards_library_signs_is_taken() -> None:
    signature = Webhook(SECRET).sign("msg_1", datetime.fromtimestamp(NOW, UTC), BODY.decode())
    headers = {"Webhook-Id": "msg_1", "WEBHOOK-TIMESTAMP": str(NOW), "webhook-signature": f"v1a,{'A' * 44} {signature}"}
    assert verify(SECRET, headers, BODY, now=NOW) == "msg_1"


@given(body=st.binary(max_size=200), old=st.booleans())
def test_any_body_and_either_of_two_secrets(body: bytes, old: bool) -> None:
    other = new_secret()
    headers = sign([other, SECRET] if old else [SECRET], "msg_1", NOW, body)
    assert verify([SECRET], headers, body, now=NOW) == "msg_1"
    assert verify([new_secret(), SECRET], headers, body, now=NOW + 299) == "msg_1"
    for wrong in (body + b" ", b"x" + body):
        with pytest.raises(NotGenuine):
            verify(SECRET, headers, wrong, now=NOW)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, "", "\u0661\u0662", "x", "v1,", "v1,!!", "-1", "1e9"])
def test_a_header_that_is_not_ours_is_refused(name: str, value: str | None) -> None:
    headers = {key.lower(): one for key, one in sign([SECRET], "msg_1", NOW, BODY).items()}
    del headers[name]
    if value is not None:
        headers[name] = value
    with pytest.raises(NotGenuine):
        verify(SECRET, headers, BODY, now=NOW)


@pytest.mark.parametrize("off", [-301, 301, 10**9])
def test_a_replay_is_refused(off: int) -> None:
    with pytest.raises(NotGenuine, match="replay"):
        verify(SECRET, sign([SECRET], "msg_1", NOW, BODY), BODY, now=NOW + off)


def test_signed_nonsense_is_not_genuine() -> None:
    with pytest.raises(NotGenuine, match="nothing that can be read"):
        receive(SECRET, sign([SECRET], "msg_1", NOW, b"[]"), b"[]", now=NOW)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!", "secret", base64.b16encode(b"x" * 9).decode()])
def test_a_secret_that_is_none_is_the_callers_mistake(secret: str) -> None:
    with pytest.raises(InvalidArgument):
        verify(secret, sign([SECRET], "msg_1", NOW, BODY), BODY, now=NOW)
