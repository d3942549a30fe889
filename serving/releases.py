"""Routes about releases: who decides, the way back at once, and a second person's word."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from fradect import moves
from fradect.errors import InvalidInput, Unavailable
from fradect.events import clean_text
from fradect.faults import Fault
from fradect.four_eyes import FourEyes
from fradect.modules import MODULES
from fradect.moves import Act, Looked
from fradect.rollout import Rollout
from fradect.turns import OwnThread
from serving.auth import Endpoint, caller_of
from serving.body import read_body
from serving.decision_list import Given
from serving.release_schemas import (
    ApprovalRequest,
    RollbackRequest,
    RolloutOut,
    RolloutsOut,
    past_of,
    waits_for,
    written_or_none,
)
from serving.strict_json import read
from serving.typed import typed

JSON = "application/json"
PATIENCE = 10.0
"""Seconds: a store that machines share may be far away, and a step is worth waiting for."""
USUAL, MOST, HIGHEST = 50, 200, 99_999

T = TypeVar("T")

_ROOT = "/api/v1/releases"
_USUAL_MODULE = next(iter(MODULES))


class Following(Protocol):
    """As serving.champions.Champions."""

    @property
    def idle(self) -> Mapping[tuple[str, str], str]: ...

    def numbered(self, module: str, tenant_id: str) -> int | None: ...

    def turn(self, module: str, tenant_id: str) -> bool: ...


class Releases(NamedTuple):
    """What the routes stand on."""

    store: FourEyes
    champions: Following
    thread: OwnThread


class ReleaseRoutes:
    """The endpoints under /api/v1/releases. All are bound to the caller's tenant."""

    def __init__(self, releases: Releases) -> None:
        self._store, self._champions, self._thread = releases

    def all(self) -> Iterator[tuple[str, str, Endpoint]]:
        yield "GET", f"{_ROOT}/rollout", self.rollout
        yield "GET", f"{_ROOT}/history", self.history
        yield "POST", f"{_ROOT}/rollback", self.roll_back
        yield "POST", f"{_ROOT}/approval", self.approval

    async def rollout(self, request: Request) -> Response:
        """Who decides now."""
        given = Given(request)
        module = _module(given)
        given.check_empty()
        tenant_id = caller_of(request).tenant_id
        return _json(await self._call(self._standing, module, tenant_id))

    async def history(self, request: Request) -> Response:
        """Who decided before, the newest first."""
        given = Given(request)
        module = _module(given)
        most, before = given.number("limit", 1, MOST) or USUAL, given.number("before", 1, HIGHEST) or HIGHEST + 1
        given.check_empty()
        past = await self._call(self._store.history, module, caller_of(request).tenant_id)
        found = sorted((one for one in past if one.number < before), key=lambda one: one.number, reverse=True)
        page = found[:most]
        goes_on = page[-1].number if len(found) > most else None
        return _json(RolloutsOut(tuple(map(past_of, page)), goes_on))

    async def roll_back(self, request: Request) -> Response:
        """The challenger is withdrawn; where none is tried, the champion before is champion again. At once."""
        asked = typed(read(await read_body(request)), RollbackRequest)
        module, tenant_id, act = asked.module, caller_of(request).tenant_id, _act(request, asked.reason)
        return await self._moved(module, tenant_id, moves.roll_back, act, asked.release)

    async def approval(self, request: Request) -> Response:
        """A second person's yes, or anybody's no, to the step that waits."""
        asked = typed(read(await read_body(request)), ApprovalRequest)
        module, tenant_id, act = asked.module, caller_of(request).tenant_id, _act(request, asked.reason)
        looked = Looked(asked.release, asked.evidence)
        say = moves.approve if asked.word == "approve" else moves.refuse
        return await self._moved(module, tenant_id, say, looked, act)

    async def _moved(self, module: str, tenant_id: str, do: Callable[..., Rollout], *args: Any) -> Response:
        """The rollout that is true after it, and in force in this process by then."""
        return _json(await self._call(self._done, module, tenant_id, do, args))

    def _standing(self, module: str, tenant_id: str) -> RolloutOut:
        return self._told(module, tenant_id, moves.standing(self._store, module, tenant_id))

    def _done(self, module: str, tenant_id: str, do: Callable[..., Rollout], args: tuple[Any, ...]) -> RolloutOut:
        now = do(self._store, module, tenant_id, *args)
        self._champions.turn(module, tenant_id)
        return self._told(module, tenant_id, now)

    def _told(self, module: str, tenant_id: str, now: Rollout) -> RolloutOut:
        fields = msgspec.structs.asdict(past_of(now))
        return RolloutOut(
            **fields,
            module=module,
            begun_by=now.begun_by or None,
            begun_at=written_or_none(now.begun_at),
            four_eyes=self._store.asks(tenant_id, now),
            waits_for=waits_for(now),
            in_force=self._champions.numbered(module, tenant_id) == now.number,
            idle=self._champions.idle.get((module, tenant_id)),
        )

    async def _call(self, do: Callable[..., T], *args: Any) -> T:
        try:
            return await self._thread.call(PATIENCE, do, *args)
        except TimeoutError as error:
            raise Unavailable(
                f"the store of releases did not answer in time: look at {_ROOT}/rollout, then ask again"
            ) from error


def _module(given: Given) -> str:
    return given.one_of("module", MODULES) or _USUAL_MODULE


def _act(request: Request, reason: str) -> Act:
    """Who says it: the key's id, or the token's issuer and subject."""
    try:
        why = clean_text(reason)
    except Fault as fault:
        raise fault.at("reason") from None
    if not why:
        raise InvalidInput("reason: it is blank; say why, in 1 to 500 characters", "reason")
    return Act(caller_of(request).id, why)


def _json(body: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(body), media_type=JSON)
