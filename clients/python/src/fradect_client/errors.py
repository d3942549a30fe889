"""What can go wrong, as exceptions. Everything that this package raises of its own is a FradectError."""

import email.utils
import http
import re
import time
from typing import ClassVar

import httpx
import msgspec

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


class FradectError(Exception):
    """Base of all that this package raises."""


class InvalidArgument(FradectError, ValueError):
    """The caller's own mistake; nothing was sent."""


class ConnectionFailed(FradectError):
    """No answer came, or only half of one, within the deadline. What was asked for may have been done."""


class UnexpectedAnswer(FradectError):
    """An answer of success that is none of FRADECT's: look at what stands between."""


class StillProcessing(FradectError, TimeoutError):
    """The batch was not done in the time that it was waited for; it goes on."""


class NotGenuine(FradectError):
    """A webhook message that is not ours, or too old to be believed."""


class Problem(msgspec.Struct, frozen=True):
    """Problem details (RFC 9457) as they came."""

    type: str = "about:blank"
    title: str = ""
    status: int = 0
    detail: str = ""
    request_id: str | None = None
    field: str | None = None


class ProblemError(FradectError):
    """The service said no. `type` is a URN that docs/concepts/errors.md lists; `field` names what to mend, if known."""

    status: ClassVar[int] = 0

    def __init__(self, problem: Problem, retry_after: float | None = None) -> None:
        where = f" (field {problem.field})" if problem.field else ""
        named = f" [{problem.request_id}]" if problem.request_id else ""
        super().__init__(f"{problem.status} {problem.title}: {problem.detail}{where}{named}")
        self.problem = problem
        self.retry_after = retry_after
        """Seconds the service asks to wait."""

    @property
    def type(self) -> str:
        return self.problem.type

    @property
    def name(self) -> str:
        """The last part of the type, `invalid-input` for one."""
        return self.problem.type.rpartition(":")[2]

    @property
    def title(self) -> str:
        return self.problem.title

    @property
    def detail(self) -> str:
        return self.problem.detail

    @property
    def field(self) -> str | None:
        return self.problem.field

    @property
    def request_id(self) -> str | None:
        return self.problem.request_id


class BadRequest(ProblemError):
    """The request is not well formed."""

    status = 400


class Unauthorised(ProblemError):
    """No valid key or token."""

    status = 401


class Forbidden(ProblemError):
    """The key lacks a permission."""

    status = 403


class NotFound(ProblemError):
    """There is no such thing, or it is another tenant's."""

    status = 404


class Conflict(ProblemError):
    """It contradicts what is stored."""

    status = 409


class TooLarge(ProblemError):
    """The body is larger than is taken."""

    status = 413


class InvalidInput(ProblemError):
    """A value is not valid; `field` names it."""

    status = 422


class RateLimited(ProblemError):
    """More was asked, or is kept, than is allowed."""

    status = 429


class Unavailable(ProblemError):
    """The service cannot do it now; it may have been done all the same."""

    status = 503


_BY_STATUS = {kind.status: kind for kind in ProblemError.__subclasses__()}


def error_of(response: httpx.Response) -> ProblemError:
    """The exception for an answer that is no success. What a proxy answered has the type about:blank."""
    status, found = response.status_code, Problem()
    if response.headers.get("content-type", "").startswith("application/problem+json"):
        try:
            found = msgspec.json.decode(response.content, type=Problem)
        except msgspec.DecodeError:
            found = Problem()
    names = {"status": status, "title": found.title or _phrase(status)}
    names["request_id"] = found.request_id or response.headers.get("x-request-id")
    problem = msgspec.structs.replace(found, **names)
    return _BY_STATUS.get(status, ProblemError)(problem, seconds_of(response.headers.get("retry-after")))


def seconds_of(retry_after: str | None) -> float | None:
    """Retry-After, a number or a date, as seconds from now; None when it is neither."""
    if retry_after is None:
        return None
    if _SECONDS.fullmatch(retry_after):
        return float(retry_after)
    try:
        then = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, then.timestamp() - time.time())


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Unknown status"
