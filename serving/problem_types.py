"""Every type of problem that is answered: its status, what it means, what helps (as docs/concepts/errors.md)."""

from collections.abc import Mapping
from typing import NamedTuple

from fradect.decide import DifferentBody
from fradect.errors import Conflict, FradectError, InvalidInput, NotFound, Refused, Unauthorised, Unavailable
from fradect.jobs import QuotaExceeded
from serving.admission import Overloaded
from serving.limits import RateLimited
from serving.problems import (
    TITLES,
    Forbidden,
    InvalidKey,
    Malformed,
    MethodNotAllowed,
    StillRunning,
    TooLarge,
    TooSlow,
    UnsupportedMedia,
)

URN = "urn:fradect:problem:"


class Told(NamedTuple):
    """What is said of a type. `detail`: an example of it."""

    kind: type[FradectError]
    meaning: str
    remedy: str
    detail: str

    @property
    def title(self) -> str:
        return TITLES[self.kind.type]


_TOLD = (
    Told(
        Malformed,
        "The body is no JSON, names a key twice, or ended too early.",
        "Send one JSON value in UTF-8, each name once.",
        "the body is not valid JSON",
    ),
    Told(
        InvalidKey,
        "The Idempotency-Key cannot be one.",
        "Send one, of 1 to 255 visible ASCII characters, or none.",
        "Idempotency-Key: send one, of 1 to 255 visible ASCII characters, or none",
    ),
    Told(
        Unauthorised,
        "No valid key or token came along. The answer is the same whatever was wrong.",
        "Send one key as X-API-Key or one token as Authorization: Bearer; look at its end and its issuer.",
        "send one valid key as X-API-Key, or one valid token as Authorization: Bearer",
    ),
    Told(
        Forbidden,
        "The caller is known and lacks the permission that the operation needs.",
        "Use a key or token of a role that has it; docs/concepts/identity.md lists them.",
        "this needs the permission write:webhooks",
    ),
    Told(
        NotFound,
        "There is no such thing, or it is another tenant's.",
        "Look at the id and at whose key is used.",
        "no such decision",
    ),
    Told(
        MethodNotAllowed,
        "The path is there and takes other methods.",
        "Use one of those that the Allow header names.",
        "PUT does not fit /api/v1/decisions",
    ),
    Told(
        TooSlow,
        "The body did not arrive in time.",
        "Send it at once; look at the network between.",
        "the body did not arrive within 5 s",
    ),
    Told(
        Conflict,
        "It contradicts what is stored, or comes too early.",
        "Read what is stored, then decide whether to ask again.",
        "job job_1 is not done: ask again when it is",
    ),
    Told(
        Refused,
        "A rule or a limit said no. Nothing was changed.",
        "The detail names the rule; mend what it names.",
        "the webhook is disabled: enable it first",
    ),
    Told(
        StillRunning,
        "The first request under the same Idempotency-Key is not answered yet.",
        "Ask again after Retry-After, under the same key.",
        "the first request under this Idempotency-Key is not answered yet; ask again",
    ),
    Told(
        TooLarge,
        "The body is larger than is taken.",
        "Send less at a time; many purchases go as a batch, many rows as an upload.",
        "the limit is 65536 bytes",
    ),
    Told(
        UnsupportedMedia,
        "The body is of another media type than is taken, or compressed.",
        "Send it uncompressed, with the Content-Type that the operation names.",
        "send Content-Type: application/json",
    ),
    Told(
        InvalidInput,
        "A value is not valid. `field` names it where one is to blame.",
        "Mend the value as the detail says. The same request again fails again.",
        "amount -1 is below zero: send what was paid",
    ),
    Told(
        DifferentBody,
        "The transaction id or the Idempotency-Key was used before for another request, which stands.",
        "Use a new id for a new request, or send the first one again as it was.",
        "the id was used before for another request",
    ),
    Told(
        QuotaExceeded,
        "More uploads are kept, or more jobs wait, than a tenant may have.",
        "Wait for jobs to end, or delete uploads that no job needs.",
        "10000 jobs wait already: wait until some are done",
    ),
    Told(
        RateLimited,
        "The key, or its tenant, asked more than it may.",
        "Ask again after Retry-After; the RateLimit headers say what is left.",
        "100 requests in 1 s is what this key may ask: ask again in 1 s",
    ),
    Told(
        FradectError,
        "Something went wrong here that nobody foresaw; the log knows it by the request id.",
        "Report the request id. To repeat the request under the same ids is safe.",
        "report the request id; the service's log has the rest",
    ),
    Told(
        Unavailable,
        "A part that is needed does not answer. Whether it was done may be unknown.",
        "Ask again after Retry-After, under the same ids.",
        "the ledger did not answer in time; ask again in a second",
    ),
    Told(
        Overloaded,
        "More is asked than can be decided in time. This request was not begun.",
        "Ask again after Retry-After; spread the load.",
        "more is asked than can be decided in time; ask again in a second",
    ),
)
PROBLEM_TYPES: Mapping[str, Told] = {told.kind.type: told for told in _TOLD}
