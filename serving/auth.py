"""Who calls, what they may do, and how much of it."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from fradect.errors import Unauthorised
from fradect.ports import Caller, Callers
from serving.limits import Headers, Limits
from serving.permissions import OPEN, rule_of
from serving.problems import Forbidden

Endpoint = Callable[[Request], Awaitable[Response]]

_LONGEST_KEY = 256
_LONGEST_TOKEN = 8 * 1024
_CALLER, _LIMITS = "fradect.caller", "fradect.limits"


class Tokens(Protocol):
    """Who a signed token speaks for."""

    def find(self, token: str) -> Caller | None:
        """None for a token that anything is wrong with."""
        ...


class Guard:
    """Stands before every route that has a permission: nothing behind it is reached without."""

    def __init__(self, keys: Callers, tokens: Tokens, limits: Limits) -> None:
        self._keys, self._tokens, self._limits = keys, tokens, limits

    def of(self, method: str, path: str, endpoint: Endpoint) -> Endpoint:
        """The endpoint behind its rule; Refused when it has none."""
        permission = rule_of(method, path)
        if permission == OPEN:
            return endpoint

        async def guarded(request: Request) -> Response:
            scope = request.scope
            caller = scope[_CALLER] = self._caller(scope["headers"])
            scope[_LIMITS] = self._limits.admit(caller)
            if not caller.may(permission):
                raise Forbidden(f"the permission {permission} is missing")
            return await endpoint(request)

        return guarded

    def crowds(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether they are of a tenant that asks for more than its share while others ask too."""
        try:
            return self._limits.crowds(self._caller(headers).tenant_id)
        except Unauthorised:
            return False  # the guard says so

    def _caller(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """Unauthorised unless there is one key, or one token, and it is valid."""
        given = [header for header in headers if header[0] in _CREDENTIALS]
        if len(given) != 1:
            raise Unauthorised
        name, value = given[0]
        caller = self._of_key(value) if name == b"x-api-key" else self._of_token(value)
        if caller is None:
            raise Unauthorised
        return caller

    def _of_key(self, value: bytes) -> Caller | None:
        return self._keys.find(value.decode("latin-1")) if len(value) <= _LONGEST_KEY else None

    def _of_token(self, value: bytes) -> Caller | None:
        scheme, _, token = value.partition(b" ")
        if scheme.lower() != b"bearer" or len(token) > _LONGEST_TOKEN or not token.isascii():
            return None
        return self._tokens.find(token.decode())


_CREDENTIALS = frozenset([b"x-api-key", b"authorization"])


def caller_of(request: Request) -> Caller:
    """Who the guard let in. KeyError on a route that none stands before."""
    caller: Caller = request.scope[_CALLER]
    return caller


def limits_of(request: Request) -> Headers:
    """Headers that say what is left to the caller; none where nobody was let in."""
    headers: Headers = request.scope.get(_LIMITS, [])
    return headers
