"""The request, in the order in which it happens: decided already? arrival, vector, judgement, ledger, answer."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from fradect.answer import encode
from fradect.breaker import Breaker
from fradect.errors import Conflict, InvalidInput, Unavailable, Uncertain
from fradect.exploration import Case, Explorer
from fradect.features.live import Snapshot
from fradect.grouping import Grouped
from fradect.judgement import FACTORS, Judgement, Loaded, judge
from fradect.lists import NOTHING_LISTED
from fradect.ports import (
    Arrival,
    Arriving,
    Asked,
    BatchFeatures,
    DataKey,
    Errand,
    Ledger,
    LiveState,
    Record,
    Signals,
    Stored,
)
from fradect.sight import BATCH_FEATURES, LISTS, NOTHING_READ, seen
from fradect.turns import OwnThread, Turns
from fradect.types import Decision, Event, Value, Vector

FEATURES_SHARE = 0.5  # of the budget; the rest is for the judgement and, above all, the ledger
FACTORS_SHARE = 0.25  # of the budget: where less is left, the ledger needs it more than the reasons do

T = TypeVar("T")
log = logging.getLogger(__name__)


class DifferentBody(Conflict):
    """The id was used before for another request; the first one's decision stands."""

    status = 422
    type = "different-body"


class Request(msgspec.Struct, frozen=True):
    """One event to be judged. `digest` tells apart what was asked under the same id, or key (which is as in Record)."""

    event: Event
    request_id: str
    digest: str
    explain: bool
    idempotency_key: str | None = None
    data_key: DataKey | None = None


@dataclass(frozen=True, slots=True)
class Ports:
    """What a decision needs from outside, each with the thread that it blocks."""

    state: LiveState
    ledger: Ledger
    state_thread: OwnThread
    batch_thread: OwnThread
    ledger_thread: OwnThread
    finding_thread: OwnThread  # so that no request waits for another's commit to hear that it is new
    signals: Signals = NOTHING_LISTED
    state_breaker: Breaker = field(default_factory=lambda: Breaker("the live state"))
    batch_breaker: Breaker = field(default_factory=lambda: Breaker("the feature store"))
    explorer: Explorer | None = None


@dataclass(frozen=True, slots=True)
class Champion:
    """The release that decides a tenant's events of a module, and the snapshots that belong to its contract."""

    release: Loaded
    batch: BatchFeatures


@dataclass(frozen=True, slots=True)
class Source:
    """Where the wall clock and new ids come from."""

    now: Callable[[], int]
    new_id: Callable[[], str]


class Made(msgspec.Struct, frozen=True):
    """What a decision was made of, for whoever looks at it again afterwards. `signals` is None where the lists did not
    answer, `snapshot` where the feature store did not."""

    event: Event
    arrival: Arrival | None
    snapshot: Snapshot | None
    signals: Mapping[str, Value] | None
    vector: Vector
    gone: tuple[str, ...]
    judgement: Judgement


class Decided(msgspec.Struct, frozen=True):
    """An answer. `decision` and what it was made of are None where it is the one stored for an earlier request."""

    answer: bytes
    decision: Decision | None
    made: Made | None = None


class Budget:
    """The time one request may take, from when it is made; and where it went."""

    def __init__(self, seconds: float) -> None:
        self._start = self._lapped = time.monotonic()
        self._seconds = seconds
        self.spent_us: dict[str, int] = {}

    def left(self, share: float = 1.0) -> float:
        """Seconds left of the first `share` of the budget."""
        return max(0.0, self._start + share * self._seconds - time.monotonic())

    def lap(self, step: str) -> None:
        """Everything since the last lap was this step."""
        now = time.monotonic()
        self.spent_us[step] = int((now - self._lapped) * 1e6)
        self._lapped = now

    def total_us(self) -> int:
        return int((time.monotonic() - self._start) * 1e6)


class Decider:
    """Makes and stores decisions. One per process; requests under the same id take turns."""

    def __init__(self, ports: Ports, budget_ms: int, source: Source) -> None:
        self._ports = ports
        self._seconds = budget_ms / 1000
        self._source = source
        self._turns = Turns()
        self._arriving = Grouped(ports.state_thread, ports.state.arrive_many)
        self._finding = Grouped(ports.finding_thread, ports.ledger.find_many)
        self._writing = Grouped(ports.ledger_thread, ports.ledger.commit_many)

    async def decide(self, request: Request, champion: Champion) -> Decided:
        """The answer, durable. Unavailable when the ledger is gone, DifferentBody when the id has another request."""
        budget = Budget(self._seconds)
        event = request.event
        async with self._turns.of((event.tenant_id, event.module, event.event_id)):
            stored = await self._find(request, budget)
            budget.lap("find")
            if stored is not None:
                return Decided(_same(stored, request).answer, None)
            return await self._make(request, champion, budget)

    async def _make(self, request: Request, champion: Champion, budget: Budget) -> Decided:
        event, release = request.event, champion.release
        arrival, snapshot = await self._read(event, champion, budget)
        budget.lap("features")
        try:
            hurried = budget.left() < FACTORS_SHARE * self._seconds
            made = _judged(request, release, arrival, snapshot, self._signals(event), hurried=hurried)
            budget.lap("judgement")
            return await self._write(self._record(request, release, made, budget), request, made, budget)
        except (DifferentBody, Uncertain, asyncio.CancelledError):  # the arrival may be that of a decision which stands
            raise
        except TimeoutError as error:  # it may have been written all the same, so the arrival stays for now
            raise Uncertain("the ledger did not answer in time; ask again under the same id") from error
        except BaseException:
            await self._withdraw(event)
            raise

    async def _find(self, request: Request, budget: Budget) -> Stored | None:
        event = request.event
        asked = Asked(event.tenant_id, event.module, event.event_id, request.idempotency_key)
        try:
            return await self._finding.call(budget.left(), asked)
        except TimeoutError as error:
            raise Unavailable("the ledger did not answer in time; ask again in a second") from error

    async def _read(self, event: Event, champion: Champion, budget: Budget) -> tuple[Arrival | None, Snapshot | None]:
        """Live state and snapshot at once: in one round trip where they are on one server."""
        errand = champion.batch.errand(event) if champion.release.reads_batch else None
        if errand is not None:
            arrival = await self._arrive(event, errand, budget)
            return arrival, _brought(errand)
        if not champion.release.reads_batch:
            return await self._arrive(event, None, budget), NOTHING_READ
        return await asyncio.gather(self._arrive(event, None, budget), self._read_batch(event, champion, budget))

    async def _arrive(self, event: Event, errand: Errand | None, budget: Budget) -> Arrival | None:
        arriving, within = Arriving(event, errand), budget.left(FEATURES_SHARE)
        return await _optional(self._ports.state_breaker, within, lambda s: self._arriving.call(s, arriving))

    async def _read_batch(self, event: Event, champion: Champion, budget: Budget) -> Snapshot | None:
        thread, within = self._ports.batch_thread, budget.left(FEATURES_SHARE)
        return await _optional(self._ports.batch_breaker, within, lambda s: thread.call(s, champion.batch.read, event))

    def _signals(self, event: Event) -> Mapping[str, Value] | None:
        try:
            return self._ports.signals.of(event)
        except Exception:  # lists are optional too: whatever went wrong, the answer says it was made without them
            log.warning("%s did not answer", LISTS, exc_info=True)
            return None

    async def _write(self, record: Record, request: Request, made: Made, budget: Budget) -> Decided:
        stored = await self._writing.call(budget.left(), record)
        answer = _same(stored, request).answer
        won = stored.decision_id == record.decision.decision_id
        return Decided(answer, record.decision, made) if won else Decided(answer, None)

    async def _withdraw(self, event: Event) -> None:
        """As good as can be: what stays behind is found by reconciliation."""
        state, thread = self._ports.state, self._ports.state_thread
        await _optional(self._ports.state_breaker, 1.0, lambda s: thread.call(s, state.withdraw, event))

    def _record(self, request: Request, release: Loaded, made: Made, budget: Budget) -> Record:
        event, judgement, propensity = made.event, made.judgement, None
        if release.policy.exploration is not None and self._ports.explorer is not None:
            case = Case(event, made.vector, made.signals, judgement)
            judgement, propensity = self._ports.explorer.explored(release, case)
        decision = Decision(
            decision_id=self._source.new_id(),
            request_id=request.request_id,
            event_id=event.event_id,
            tenant_id=event.tenant_id,
            module=event.module,
            action=judgement.action,
            score=judgement.score,
            probability=judgement.probability,
            factors=judgement.factors,
            release_id=release.id,
            vector=made.vector,
            seq=None if made.arrival is None else made.arrival.seq,
            decided_at=self._source.now(),
            degraded=judgement.degraded,
            could_not_run=judgement.could_not_run,
            timings_us={**budget.spent_us, "total": budget.total_us()},
            signals=made.signals or {},
            propensity=propensity,
        )
        options = {"include_factors": request.explain}
        subject, key = release.module.subject, request.idempotency_key
        return Record(event, decision, subject, request.digest, options, encode(decision), key, request.data_key)


def _judged(  # noqa: PLR0913  what the steps before it found
    request: Request,
    release: Loaded,
    arrival: Arrival | None,
    snapshot: Snapshot | None,
    signals: Mapping[str, Value] | None,
    *,
    hurried: bool,
) -> Made:
    event = request.event
    if arrival is not None and arrival.event_time != event.event_time:
        event = msgspec.structs.replace(event, event_time=arrival.event_time)
    vector, gone = seen(release, event, arrival, snapshot, signals)
    if request.explain and hurried:
        gone = (*gone, FACTORS)
    judgement = judge(release, event, vector, gone, explain=request.explain, signals=signals or {})
    return Made(event, arrival, snapshot, signals, vector, gone, judgement)


def _same(stored: Stored, request: Request) -> Stored:
    if stored.event_id != request.event.event_id:
        raise DifferentBody(f"the Idempotency-Key was used for {stored.event_id!r}: use a new one for each event")
    if stored.request_digest != request.digest:
        raise DifferentBody(
            f"{request.event.event_id!r} was decided for another request ({stored.decision_id}): use a new id"
        )
    return stored


def _brought(errand: Errand) -> Snapshot | None:
    try:
        return errand.snapshot()
    except Unavailable:  # whoever took the errand along has told why
        return None
    except Exception:  # stored bytes that cannot be read are no reason not to decide: the answer says so
        log.warning("%s failed", BATCH_FEATURES, exc_info=True)
        return None


async def _optional(breaker: Breaker, within: float, call: Callable[[float], Awaitable[T]]) -> T | None:
    """None when it fails in any way but the caller's own fault: degradation is declared, not an error."""
    if not within or not breaker.allows():
        return None
    try:
        answer = await call(within)
    except (Conflict, InvalidInput):
        breaker.succeeded()
        raise
    except (TimeoutError, Unavailable) as error:
        log.warning("%s did not answer: %s", breaker.name, error or "too slow")
    except Exception:  # a part that a decision can be made without must not stop it, whatever it raises
        log.warning("%s failed", breaker.name, exc_info=True)
    else:
        breaker.succeeded()
        return answer
    breaker.failed()
    return None
