"""Errors over HTTP: problem details (RFC 9457), of published types, with nothing in them that the caller did not send.

An error's own class carries status and type; what only HTTP knows has its classes here.
"""

import msgspec
from starlette.responses import Response

from fradect.errors import Conflict, FradectError, InvalidInput, NotFound, Refused, Unauthorised, Unavailable
from fradect.jobs import QuotaExceeded
from serving.limits import RateLimited

MEDIA_TYPE = "application/problem+json"
_MOST_WORDS = 500


class Malformed(FradectError):
    """The body is not JSON, or not JSON that means one thing only."""

    status = 400
    type = "malformed-json"


class InvalidKey(FradectError):
    """An Idempotency-Key that cannot be one."""

    status = 400
    type = "invalid-idempotency-key"


class StillRunning(FradectError):
    """The first request under the same Idempotency-Key is not answered yet."""

    status = 409
    type = "request-running"


class Forbidden(FradectError):
    """The caller is known and lacks the permission."""

    status = 403
    type = "forbidden"


class MethodNotAllowed(FradectError):
    status = 405
    type = "method-not-allowed"


class TooSlow(FradectError):
    """The body did not arrive in time."""

    status = 408
    type = "request-timeout"


class TooLarge(FradectError):
    status = 413
    type = "body-too-large"


class UnsupportedMedia(FradectError):
    """Not application/json, or compressed."""

    status = 415
    type = "unsupported-media-type"


TITLES = {
    Malformed.type: "The body is not valid JSON",
    InvalidKey.type: "The Idempotency-Key is not valid",
    Unauthorised.type: "No valid key or token",
    Forbidden.type: "The caller lacks a permission",
    NotFound.type: "There is nothing here",
    MethodNotAllowed.type: "The method does not fit",
    TooSlow.type: "The body took too long",
    StillRunning.type: "The same request is running",
    Conflict.type: "It contradicts what is stored",
    Refused.type: "It was refused",
    TooLarge.type: "The body is too large",
    UnsupportedMedia.type: "The media type is not supported",
    InvalidInput.type: "A value is not valid",
    "different-body": "The id was used for another request",
    FradectError.type: "Something went wrong here",
    Unavailable.type: "A part is not available",
    "overloaded": "More is asked than can be decided in time",
    QuotaExceeded.type: "More is kept or waits than is allowed",
    RateLimited.type: "More was asked than is allowed",
}
UNAUTHORISED = "send one valid key as X-API-Key, or one valid token as Authorization: Bearer"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every error."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    field: str | None = None


def render(error: FradectError, request_id: str) -> Response:
    """The response for an error. 401 is the same whatever was wrong; internal errors say nothing of themselves."""
    detail = str(error)
    if isinstance(error, Unauthorised):
        detail = UNAUTHORISED
    elif error.type == FradectError.type:
        detail = "report the request id; the service's log has the rest"
    problem = Problem(
        type=f"urn:fradect:problem:{error.type}",
        title=TITLES[error.type],
        status=error.status,
        detail=_printable(detail),
        request_id=request_id,
        field=_printable(error.field) if isinstance(error, InvalidInput) and error.field else None,
    )
    headers = {"Retry-After": "1"} if isinstance(error, Unavailable | StillRunning) else {}
    if isinstance(error, TooSlow | TooLarge):  # or the server goes on reading what nobody wants
        headers["Connection"] = "close"
    if isinstance(error, Unauthorised):
        headers["WWW-Authenticate"] = 'ApiKey realm="fradect", Bearer realm="fradect"'
    response = Response(msgspec.json.encode(problem), error.status, headers, MEDIA_TYPE)
    if isinstance(error, RateLimited):
        response.raw_headers += [(b"retry-after", b"%d" % error.seconds), *error.headers]
    return response


def _printable(text: str) -> str:
    """Short, and encodable whatever the caller sent (a name may hold a lone surrogate)."""
    return text[:_MOST_WORDS].encode("utf-8", "replace").decode()
