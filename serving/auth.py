"""Who calls, and what they may do."""

from starlette.requests import Request

from fradect.errors import Unauthorised
from fradect.ports import Caller, Callers
from serving.problems import Forbidden

SCORE = "write:transactions"
READ_DECISIONS = "read:risk_decisions"
_LONGEST_KEY = 256


def caller_of(request: Request, callers: Callers, permission: str) -> Caller:
    """Unauthorised without a valid key, Forbidden without the permission."""
    keys = request.headers.getlist("x-api-key")
    if len(keys) != 1 or len(keys[0]) > _LONGEST_KEY:
        raise Unauthorised
    caller = callers.find(keys[0])
    if caller is None:
        raise Unauthorised
    if not caller.may(permission):
        raise Forbidden(f"the key lacks the permission {permission}")
    return caller
