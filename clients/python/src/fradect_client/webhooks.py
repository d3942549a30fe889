"""What a receiver of webhooks needs: is the message ours, and what does it say."""

import base64
import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from fradect_client.errors import InvalidArgument, NotGenuine

TOLERANCE_SECONDS = 300
"""How far a message's time may lie from the receiver's: what is older is a replay."""

_PREFIX = "whsec_"
_MOST_SIGNATURES = 16
_SECONDS = re.compile(r"[0-9]{1,12}")


class DecisionTold(msgspec.Struct, frozen=True):
    """What a message tells of a decision. `outcome` stands in `risk.decision.updated` alone."""

    decision_id: str
    entity_type: str
    entity_id: str
    score: int
    decision: str
    outcome: str | None = None


class WebhookTold(msgspec.Struct, frozen=True):
    """Which webhook the test was asked for."""

    webhook_id: str


class Message(msgspec.Struct, frozen=True):
    """A verified message. `id` is the same at every try: keep those that were taken, the same may come twice.

    `data` is None in an event that this version does not know; `body` has it all.
    """

    id: str
    event: str
    timestamp: datetime
    data: DecisionTold | WebhookTold | None
    body: bytes


class _Body(msgspec.Struct, frozen=True):
    event: str
    timestamp: datetime
    data: msgspec.Raw


_DATA: Mapping[str, type[DecisionTold] | type[WebhookTold]] = {
    "risk.decision.created": DecisionTold,
    "risk.decision.updated": DecisionTold,
    "webhook.test": WebhookTold,
}


def receive(
    secrets: str | Sequence[str], headers: Mapping[str, str], body: bytes, *, now: float | None = None
) -> Message:
    """Verify a message, then read it. `body`: the raw bytes as they came, before any parser saw them.

    `secrets`: the one that registering answered; several while one is replaced. NotGenuine when it is not ours.
    """
    message_id = verify(secrets, headers, body, now=now)
    try:
        read = msgspec.json.decode(body, type=_Body)
        kind = _DATA.get(read.event)
        data = None if kind is None else msgspec.json.decode(read.data, type=kind)
    except msgspec.DecodeError as error:
        raise NotGenuine(f"the message {message_id} is signed, and says nothing that can be read: {error}") from error
    return Message(message_id, read.event, read.timestamp, data, body)


def verify(secrets: str | Sequence[str], headers: Mapping[str, str], body: bytes, *, now: float | None = None) -> str:
    """The message's id, once a secret has signed it and its time is within five minutes of `now` (default: the clock).

    Standard Webhooks v1. NotGenuine otherwise. Headers are found whatever their case.
    """
    keys = [_key(secret) for secret in ([secrets] if isinstance(secrets, str) else secrets)]
    held = {name.lower(): value for name, value in headers.items()}
    message_id, stamp, signatures = (held.get(f"webhook-{part}", "") for part in ("id", "timestamp", "signature"))
    if not message_id.isascii() or not message_id or not _SECONDS.fullmatch(stamp) or not signatures:
        raise NotGenuine("the message lacks webhook-id, webhook-timestamp or webhook-signature")
    if abs((time.time() if now is None else now) - int(stamp)) > TOLERANCE_SECONDS:
        raise NotGenuine(f"the message was sent more than {TOLERANCE_SECONDS} s from now: a replay, or a clock is off")
    signed = b"%s.%s.%s" % (message_id.encode(), stamp.encode(), body)
    ours = [hmac.digest(key, signed, hashlib.sha256) for key in keys]
    theirs = [_signature(one) for one in signatures.split(" ", _MOST_SIGNATURES)[:_MOST_SIGNATURES]]
    if not any(hmac.compare_digest(mine, one) for mine in ours for one in theirs):
        raise NotGenuine("no signature of the message is by the secret")
    return message_id


def _signature(text: str) -> bytes:
    version, _, encoded = text.partition(",")
    try:
        return base64.b64decode(encoded, validate=True) if version == "v1" else b""
    except ValueError:
        return b""


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise InvalidArgument(f"a webhook's secret is {_PREFIX} and base64, as registering it answered")
    return key
