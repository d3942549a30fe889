"""Routes about decisions that were made: what was answered, and what it turned out to be."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Protocol, TypeVar

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from fradect.errors import NotFound, Unavailable
from fradect.events import clean_text
from fradect.faults import Fault
from fradect.outcomes import Outcome, Outcomes, Shown, Standing, Telling
from fradect.ports import Caller
from fradect.turns import OwnThread
from serving.auth import caller_of
from serving.body import read_body
from serving.decision_list import Pages, page_of, wanted_of
from serving.metrics import Metrics
from serving.schemas import Text, Time
from serving.strict_json import read
from serving.typed import moment_of, typed

JSON = "application/json"
SECONDS = 2.0
ORIGIN = "api"
_ID = re.compile(r"dec_[0-9a-z]{1,60}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")


class OutcomeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /api/v1/decisions/{id}/outcome`. Without `known_at` it is known from now on.

    `note` is stored as it is: no personal data.
    """

    outcome: Outcome
    known_at: Time | None = None
    note: Text | None = None


class ToldOut(msgspec.Struct, frozen=True):
    """One outcome as it was told: when it was known, when we were told, by whom."""

    outcome: str
    known_at: Time
    told_at: Time
    origin: str
    note: str | None = None


class StandingOut(msgspec.Struct, frozen=True):
    """How a decision stands. `outcome` is the last that was told; `outcomes` are all, in that order."""

    decision_id: str
    entity_id: str
    outcome: str | None
    outcome_updated_at: Time | None
    outcomes: tuple[ToldOut, ...]


class DecisionOut(msgspec.Struct, frozen=True):
    """A decision: its answer as it left, and how it stands."""

    decision_id: str
    module: str
    entity_id: str
    created_at: Time
    answer: Annotated[msgspec.Raw, Meta(extra_json_schema={"$ref": "#/components/schemas/Answer"})]
    outcome: str | None
    outcome_updated_at: Time | None
    outcomes: tuple[ToldOut, ...]


class Reads(Protocol):
    """Decisions as the ledger holds them."""

    def shown(self, decision_id: str, tenant_id: str | None = None) -> Shown:
        """NotFound when there is none of that id, or it is another tenant's."""
        ...


@dataclass(frozen=True, slots=True)
class Past:
    """Decisions that were made, read and told of on a thread of their own, so that scoring never waits for them."""

    reads: Reads
    outcomes: Outcomes
    pages: Pages
    thread: OwnThread

    async def call(self, do: Callable[..., T], *args: Any) -> T:
        try:
            return await self.thread.call(SECONDS, do, *args)
        except TimeoutError as error:
            raise Unavailable("the ledger did not answer in time; ask again in a second") from error


class DecisionRoutes:
    """The endpoints under /api/v1/decisions."""

    def __init__(self, past: Past, metrics: Metrics, now: Callable[[], int]) -> None:
        self._past = past
        self._metrics = metrics
        self._now = now

    async def listed(self, request: Request) -> Response:
        """A page of decisions, the newest first."""
        return Response(page_of(*await self._past.call(self._past.pages.page, *wanted_of(request))), media_type=JSON)

    async def show(self, request: Request) -> Response:
        """One decision, with its factors and what became known of it."""
        caller = caller_of(request)
        shown = await self._past.call(self._past.reads.shown, _id(request), caller.tenant_id)
        return Response(msgspec.json.encode(_decision(shown)), media_type=JSON)

    async def tell(self, request: Request) -> Response:
        """What a decision turned out to be; told again, nothing changes."""
        caller = caller_of(request)
        decision_id = _id(request)
        telling = _telling(decision_id, read(await read_body(request)), self._now())
        standing = await self._told(caller, telling)
        if standing.is_news:
            self._metrics.told(telling.outcome)
        return Response(msgspec.json.encode(_standing(standing)), media_type=JSON)

    async def _told(self, caller: Caller, telling: Telling) -> Standing:
        try:
            return await self._past.call(self._past.outcomes.tell, caller.tenant_id, telling)
        except Fault as fault:
            raise fault.at("known_at") from None


def _id(request: Request) -> str:
    decision_id: str = request.path_params["decision_id"]
    if not _ID.fullmatch(decision_id):
        raise NotFound("no such decision")
    return decision_id


def _telling(decision_id: str, body: Any, now: int) -> Telling:
    asked = typed(body, OutcomeRequest)
    known_at = moment_of("known_at", asked.known_at, now)
    return Telling(decision_id, asked.outcome, known_at, now, ORIGIN, _note(asked.note))


def _note(text: str | None) -> str | None:
    try:
        return None if text is None else clean_text(text) or None
    except Fault as fault:
        raise fault.at("note") from None


def _standing(standing: Standing) -> StandingOut:
    return StandingOut(standing.decision_id, standing.event_id, *_outcome(standing))


def _decision(shown: Shown) -> DecisionOut:
    decision = shown.kept.decision
    made = _written(decision.decided_at)
    names = (decision.decision_id, decision.module, decision.event_id)
    return DecisionOut(*names, made, msgspec.Raw(shown.answer), *_outcome(shown.standing))


def _outcome(standing: Standing) -> tuple[str | None, str | None, tuple[ToldOut, ...]]:
    updated = standing.outcome_updated_at
    told = tuple(
        ToldOut(one.outcome, _written(one.known_at), _written(one.told_at), one.origin, one.note)
        for one in standing.told
    )
    return standing.outcome, None if updated is None else _written(updated), told


def _written(micros: int) -> str:
    """RFC 3339, to the microsecond."""
    return (_EPOCH + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")
