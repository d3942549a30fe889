"""What proves that a webhook is ours: Standard Webhooks' headers (v1, HMAC-SHA256) and the X-Fradect ones beside them.

Needs the standard library alone. Any of several secrets may have signed, so that one can be replaced while messages
are under way. A genuine message may come twice: the receiver keeps the ids it has seen.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets as random
from collections.abc import Mapping, Sequence

from fradect.errors import InvalidInput, Refused

PREFIX = "whsec_"
TOLERANCE_SECONDS = 300
"""How far a message's time may lie from the receiver's: what is older is a replay."""

_SECRET_BYTES = range(24, 65)
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SECONDS = re.compile(r"[0-9]{1,12}")


def new_secret() -> str:
    return PREFIX + base64.b64encode(random.token_bytes(32)).decode()


def check_secret(text: str) -> str:
    """A secret of somebody else's making, as it is; InvalidInput when it is none, or too short."""
    _key(text)
    return text


def sign(secrets: Sequence[str], message_id: str, seconds: int, body: bytes) -> dict[str, str]:
    """The headers of a message sent at that time; several secrets give several signatures, in their order."""
    keys = [_key(secret) for secret in secrets]
    standard = (_digest(key, _standard(message_id, seconds, body)) for key in keys)
    plain = (_digest(key, b"%d." % seconds + body) for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in standard),
        "X-Fradect-Signature": ",".join(f"sha256={digest.hex()}" for digest in plain),
    }


def verify(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: float) -> str:
    """The message's id, once one of the secrets has signed it and its time is within five minutes of `now` (seconds).

    Refused otherwise. Headers are found whatever their case.
    """
    held = {name.lower(): value for name, value in headers.items()}
    message_id, stamp, signatures = (held.get(f"webhook-{part}", "") for part in ("id", "timestamp", "signature"))
    if not _ID.fullmatch(message_id.replace(".", "_")) or not _SECONDS.fullmatch(stamp) or not signatures:
        raise Refused("the message lacks webhook-id, webhook-timestamp or webhook-signature")
    if abs(now - int(stamp)) > TOLERANCE_SECONDS:
        raise Refused(
            f"the message was sent more than {TOLERANCE_SECONDS} s from now: a replay, or a clock that is off"
        )
    signed = [_signature(one) for one in signatures.split(" ") if one.startswith("v1,")]
    message = _standard(message_id, int(stamp), body)
    ours = [_digest(_key(secret), message) for secret in secrets]
    if not any(hmac.compare_digest(mine, theirs) for mine in ours for theirs in signed):
        raise Refused("no signature of the message is by the secret")
    return message_id


def _standard(message_id: str, seconds: int, body: bytes) -> bytes:
    return b"%s.%d.%s" % (message_id.encode(), seconds, body)


def _digest(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, hashlib.sha256)


def _signature(text: str) -> bytes:
    try:
        return base64.b64decode(text[3:], validate=True)
    except binascii.Error:
        return b""


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True) if secret.startswith(PREFIX) else b""
    except (binascii.Error, ValueError):
        key = b""
    if len(key) not in _SECRET_BYTES:
        raise InvalidInput(f"a secret is {PREFIX} and base64 of 24 to 64 bytes; leave it out to be given one", "secret")
    return key
