"""`GET /api/v1/decisions`: which ones, and a page of them at a time."""

import base64
import binascii
import re
from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec
from starlette.requests import Request

from fradect.deliveries import written
from fradect.errors import InvalidInput
from fradect.outcomes import Listed, Outcome, Place
from fradect.reproduce import Wanted
from fradect.types import Action
from serving.auth import caller_of
from serving.schemas import Time
from serving.typed import moment_of

MOST, USUAL = 200, 50
OUTCOMES = (*Outcome, "none")
"""The last is of decisions of which nothing was told."""
_TRUTH = ("true", "false")
_EVER = 1 << 62
_PLAIN = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_A_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_PLACE = re.compile(r"([0-9a-f]{1,15})\.(dec_[0-9a-z_]{1,60})")


class ListedOut(msgspec.Struct, frozen=True):
    """A decision in short; its factors and all that was told of it are at `/api/v1/decisions/{decision_id}`."""

    decision_id: str
    module: str
    entity_type: str
    entity_id: str
    score: int
    decision: str
    release: str
    degraded: tuple[str, ...]
    created_at: Time
    outcome: str | None
    outcome_updated_at: Time | None


class DecisionsOut(msgspec.Struct, frozen=True):
    """The newest first. `next`: the `cursor` of the page that follows, null after the last; a page may have fewer
    decisions than asked for, or none, and be followed by more."""

    decisions: tuple[ListedOut, ...]
    next: str | None


class Pages(Protocol):
    """As fradect.adapters.decision_pages.DecisionPages."""

    def page(self, wanted: Wanted, most: int, after: Place | None = None) -> tuple[list[Listed], Place | None]: ...


class Given:
    """The parameters of a request, each taken once and named in what is wrong with it."""

    def __init__(self, request: Request) -> None:
        pairs = request.query_params.multi_items()
        self._left = dict(pairs)
        if len(self._left) < len(pairs):
            raise InvalidInput("a parameter stands there twice; send it once")

    def text(self, name: str, most: int = 256) -> str | None:
        text = self._left.pop(name, None)
        if text is not None and not (_PLAIN.fullmatch(text) and len(text) <= most):
            raise InvalidInput(f"{name}: give 1 to {most} printable characters, or leave it out", name)
        return text

    def one_of(self, name: str, choices: Collection[str]) -> str | None:
        text = self.text(name)
        if text is not None and text not in choices:
            raise InvalidInput(f"{name}: give one of {', '.join(choices)}", name)
        return text

    def number(self, name: str, low: int, high: int) -> int | None:
        text = self.text(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdecimal() and len(text) < 6 and low <= int(text) <= high):
            raise InvalidInput(f"{name}: give a whole number from {low} to {high}", name)
        return int(text)

    def moment(self, name: str) -> int | None:
        """A bare day is its midnight in UTC."""
        text = self.text(name)
        return moment_of(name, f"{text}T00:00:00Z" if text is not None and _A_DAY.fullmatch(text) else text, _EVER)

    def check_empty(self) -> None:
        for name in self._left:
            raise InvalidInput(f"no parameter is called {name[:64]!r}", name[:64])


def wanted_of(request: Request) -> tuple[Wanted, int, Place | None]:
    """Which of the caller's decisions, how many at most, and below which place."""
    given = Given(request)
    degraded = given.one_of("degraded", _TRUTH)
    most, cursor = given.number("limit", 1, MOST) or USUAL, given.text("cursor")
    wanted = Wanted(
        tenant_id=caller_of(request).tenant_id,
        module=given.text("module"),
        since=given.moment("from") or 0,
        until=given.moment("to"),
        action=given.one_of("decision", Action.__members__),
        release_id=given.text("release"),
        outcome=given.one_of("outcome", OUTCOMES),
        min_score=given.number("min_score", 0, 1000),
        max_score=given.number("max_score", 0, 1000),
        customer_id=given.text("customer_id"),
        degraded=None if degraded is None else degraded == "true",
    )
    given.check_empty()
    _check_order(wanted)
    return wanted, most, None if cursor is None else _place(cursor)


def _check_order(wanted: Wanted) -> None:
    """InvalidInput where nothing could ever be between the two."""
    if wanted.until is not None and wanted.since > wanted.until:
        raise InvalidInput("from: it is later than to; send an earlier one", "from")
    if wanted.min_score is not None and wanted.max_score is not None and wanted.min_score > wanted.max_score:
        raise InvalidInput("min_score: it is above max_score; send a lower one", "min_score")


def page_of(listed: Sequence[Listed], after: Place | None) -> bytes:
    """The body of the answer."""
    return msgspec.json.encode(DecisionsOut(tuple(map(_out, listed)), None if after is None else _cursor(after)))


def _out(one: Listed) -> ListedOut:
    return ListedOut(
        decision_id=one.id,
        module=one.module,
        entity_type=one.entity_type,
        entity_id=one.entity_id,
        score=one.score,
        decision=one.action,
        release=one.release_id,
        degraded=one.degraded,
        created_at=written(one.created_at),
        outcome=one.outcome,
        outcome_updated_at=None if one.outcome_updated_at is None else written(one.outcome_updated_at),
    )


def _cursor(place: Place) -> str:
    return base64.urlsafe_b64encode(f"{place.created_at:x}.{place.id}".encode()).decode().rstrip("=")


def _place(cursor: str) -> Place:
    """InvalidInput for what we did not give out. It names a place in time and nothing else: whose decisions are
    listed is the caller's key's word."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    match = _PLACE.fullmatch(text)
    if match is None:
        raise InvalidInput("cursor: give the `next` of a page as it was, or leave it out", "cursor")
    return Place(int(match[1], 16), match[2])
