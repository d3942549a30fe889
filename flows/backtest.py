"""Backtest: two releases over the same past events, with features, labels, lists and prices as they were known then."""

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from flows.data import MATURED
from flows.evidence import Candidate, recall
from flows.gathered import Gathered
from flows.moments import moment
from flows.progress import advance
from flows.progress import stage as announced
from flows.stage import stage
from flows.stored import Scope, Stored, stored
from flows.wiring import Workshop, workshop
from flows.wiring.exploring import drawn
from flows.wiring.past import PastReader, PastRows, growing, lists_then, reader
from fradect.bulk import SAID, Trace, trace
from fradect.errors import InvalidInput, NotFound
from fradect.judgement import Loaded, load
from fradect.lists import ListsThen
from fradect.release_diff import Apart, apart
from fradect.types import DAY, SECOND, Action, Verdict
from training.backtest import Numbers, Side, Tried, numbers
from training.changes import SCHEMA, Decided, Filter, changes
from training.dataset import SplitPlan
from training.declined import Declined
from training.evaluate import LEAST_FRAUDS, Comparison, Scored, compare
from training.fairness import FairnessTable, audit
from training.rule_work import Known, RuleFacts, RuleWork

CHAMPION = "champion"
Fairness = tuple[FairnessTable, Verdict]


@dataclass(frozen=True, slots=True)
class Asked:
    """What to try. Moments as text, None the default: from the first event that neither release has learnt of, to the
    log's end. `only`: changes that are written to `changes` and shown. `stored`: make the period's decisions again."""

    against: str = CHAMPION
    since: str | None = None
    until: str | None = None
    seed: int = 7
    changes: Path | None = None
    only: tuple[str, ...] = ()
    stored: bool = True


@dataclass(frozen=True, slots=True)
class Period:
    """Events with `since <= event_time < until`; until `learnt` at least one release has learnt from events."""

    since: int
    until: int
    learnt: int


@dataclass(frozen=True, slots=True)
class Backtested:
    """Everything that was found. `notes`: what a reader has to know of how. Money in minor units of `currency`."""

    release_id: str
    against: str
    module: str
    tenant: str
    currency: str
    period: Period
    numbers: Numbers
    ranking: Comparison | None
    fairness: Mapping[str, Fairness]
    rules: Mapping[str, tuple[RuleFacts, ...]]
    differences: tuple[Apart, ...]
    wanted: int
    examples: pa.Table
    stored: Stored | None
    notes: tuple[str, ...]
    seconds: float
    declined: Mapping[str, Declined] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Pair:
    """The champion and the candidate, at work."""

    champion: Loaded
    candidate: Loaded

    @property
    def both(self) -> tuple[Loaded, Loaded]:
        return self.champion, self.candidate


@stage()
def backtest(module: str, tenant: str, release_id: str, asked: Asked) -> Backtested:
    """Decide the past twice and compare. InvalidInput where a release is of another module, or no event is there."""
    shop, began = workshop(module, tenant), time.monotonic()
    wanted = Filter.of(asked.only)
    against = _against(shop, release_id, asked.against)
    stores = shop.releases.load(against), shop.releases.load(release_id)
    pair = _Pair(*(load(one) for one in stores))
    if any(one.module is not shop.module for one in pair.both):
        raise InvalidInput(f"{against} and {release_id} must both be releases of {module}", "release")
    period = _period(shop, pair, asked)
    with announced("features") as result:
        source = reader(shop, [one.contract for one in pair.both])
        result.words = "as they were known then"
    with announced("backtest") as result:
        run = _Run(shop, pair, source, period)
        run.through(asked.changes, wanted)
        tried = run.gathered.tried(pair.candidate.policy.base_currency)
        advance(0, 0, "measures with intervals")
        found = numbers(tried, pair.candidate.policy.costs, asked.seed)
        fairness = _fairness(tried, run.gathered, pair)
        ranking = _ranking(tried, pair, asked.seed)
        result.words = f"{found.whole.events:,} events, {found.changed:,} decided otherwise"
    check = stored(Scope(module, tenant, period.since, period.until)) if asked.stored else None
    return Backtested(
        release_id=release_id,
        against=against,
        module=module,
        tenant=tenant,
        currency=pair.candidate.policy.base_currency,
        period=period,
        numbers=found,
        ranking=ranking,
        fairness=fairness,
        rules={side: tuple(work.facts()) for side, work in run.work.items()},
        differences=apart(*stores),
        wanted=run.gathered.wanted,
        examples=run.gathered.examples,
        stored=check,
        notes=tuple(run.notes(ranking)),
        seconds=time.monotonic() - began,
        declined=run.gathered.declined(tried),
    )


def _against(shop: Workshop, release_id: str, named: str) -> str:
    if named != CHAMPION:
        return named
    champion = shop.releases.champion(shop.module.name, shop.tenant)
    if champion is None:
        raise NotFound(
            f"tenant {shop.tenant!r} has no champion of {shop.module.name}: name a release with --against, "
            f"{release_id} itself if you like"
        )
    return champion


def _period(shop: Workshop, pair: _Pair, asked: Asked) -> Period:
    first, last = shop.log.time_range()
    learnt = max((_learnt(shop, one.id) for one in pair.both), default=0)
    since, until = moment("from", asked.since), moment("to", asked.until)
    period = Period(max(first, learnt) if since is None else since, last + 1 if until is None else until, learnt)
    if period.since >= period.until or period.since > last or period.until <= first:
        raise InvalidInput(f"no event lies there: the log has events {_day(first)} to {_day(last)}", "from")
    return period


def _learnt(shop: Workshop, release_id: str) -> int:
    """The moment of the last choice that was made for a release; events before it may have been learnt from."""
    try:
        return recall(shop.evidence(release_id), Candidate).training.boundaries.chosen_at
    except NotFound:
        return 0


def _day(micros: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(micros / SECOND))


class _Run:
    """The way through the events, a stretch at a time."""

    def __init__(self, shop: Workshop, pair: _Pair, source: PastReader, period: Period) -> None:
        self._pair, self._source, self._period = pair, source, period
        self._lists, self.entries = lists_then(shop)
        self._drawn = drawn(shop)
        self._now = time.time_ns() // 1000
        took = source.delays()
        self.delay = int(np.ceil(np.quantile(took, MATURED) / DAY)) * DAY if took.size else SplitPlan().delay
        self.gathered = Gathered(shop.module, pair.champion.contract)
        rules = {side: [rule for rule, _ in one.rules.conditions] for side, one in zip(_BOTH, pair.both, strict=True)}
        self.work = {side: RuleWork(rules[side], pair.candidate.policy.costs) for side in _BOTH}

    def through(self, written: Path | None, wanted: Filter) -> None:
        total = self._source.count(self._period.since, self._period.until)
        with nullcontext(_nowhere) if written is None else growing(written, SCHEMA) as write:
            for rows in self._source.rows(self._period.since, self._period.until):
                self._stretch(rows, wanted, write)
                done = self.gathered.events
                advance(done, total, f"{done:,} of {total:,} events, {self.gathered.changed:,} decided otherwise")

    def _stretch(self, rows: PastRows, wanted: Filter, write: Callable[[pa.Table], None]) -> None:
        events = _listed(self._lists, rows.events)
        traces = self._traces(events, rows)
        due = rows.events["event_time"].to_numpy() + self.delay <= self._now
        known = Known(rows.label, self._matured(rows), rows.amount)
        if self._drawn is not None:
            chance, through = self._drawn.over(rows.events["event_id"].to_pylist())
            self.gathered.see(chance, known.matured & ((chance == 1) | through), due)
        for side, made in zip(_BOTH, traces, strict=True):
            self.work[side].add(made, known)
        self.gathered.add(rows, known.matured, traces)
        decided = [Decided(made, self.work[side].rules) for side, made in zip(_BOTH, traces, strict=True)]
        changed = changes(events, decided[0], decided[1], known)
        kept = wanted.keep(changed)
        self.gathered.exemplify(changed, kept)
        write(kept)

    def _traces(self, events: pa.Table, rows: PastRows) -> tuple[Trace, Trace]:
        made = [trace(one, events, matrix) for one, matrix in zip(self._pair.both, rows.matrices, strict=True)]
        return made[0], made[1]

    def _matured(self, rows: PastRows) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Known by now, and old enough: else the newest labels would be those of fraud found fast, and no others."""
        old_enough = rows.events["event_time"].to_numpy() + self.delay <= self._now
        matured: np.ndarray[tuple[int], np.dtype[np.bool_]] = rows.labelled & (rows.known_at <= self._now) & old_enough
        return matured

    def notes(self, ranking: Comparison | None) -> list[str]:
        """What a reader has to know."""
        learnt, pair = self._period.learnt, self._pair
        said = [
            f"Features as each event's moment knew them; amounts at the rates of their day; labels that are known by "
            f"now, of events older than {self.delay // DAY} days.",
            f"Lists as they stood when each event was observed: {self.entries:,} entries ever."
            if self.entries
            else "Nobody was ever on this tenant's lists, so no rule on lists hits.",
        ]
        if self._period.since < learnt:
            said.append(f"Events before {_day(learnt)} were there when a release was made: figures on them flatter it.")
        if pair.champion.policy.costs != pair.candidate.policy.costs:
            said.append("The releases value money differently; both are valued by the candidate's costs here.")
        if self._drawn is not None:
            said.append(
                "Declines that were let through by chance stand for all that were drawn in the table of declines; the "
                "other figures are of the labels at hand."
            )
        if ranking is None:
            said.append(f"Fewer than {LEAST_FRAUDS} matured frauds: no average precision.")
        return said


_BOTH = ("champion", "candidate")


def _nowhere(_changed: pa.Table) -> None:
    """Changes that nobody asked to be written."""


def _listed(then: ListsThen, events: pa.Table) -> pa.Table:
    for name, column in then.columns(events).items():
        events = events.append_column(f"{SAID}{name}", column)
    return events


def _fairness(tried: Tried, gathered: Gathered, pair: _Pair) -> Mapping[str, Fairness]:
    here = np.flatnonzero(tried.matured)
    protected = {name: column[here] for name, column in gathered.protected.items()}
    return {
        side: audit(
            made.action[here] > Action.APPROVE,
            tried.label[here],
            tried.customer[here],
            protected,
            pair.candidate.policy.limits,
        )
        for side, made in (("champion", tried.champion), ("candidate", tried.candidate))
        if here.size
    }


def _ranking(tried: Tried, pair: _Pair, seed: int) -> Comparison | None:
    here = np.flatnonzero(tried.matured)
    frauds = int(tried.label[here].sum())
    if not LEAST_FRAUDS <= frauds < here.size:
        return None
    theirs = _scored(tried, tried.champion, here)
    ours = replace(theirs, probability=tried.candidate.probability[here], chosen=tried.candidate.action[here])
    return compare(ours, theirs, pair.candidate.policy.costs, seed)


def _scored(tried: Tried, side: Side, here: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Scored:
    return Scored(
        probability=side.probability[here],
        chosen=side.action[here],
        label=tried.label[here],
        amount=tried.amount[here],
        time=tried.time[here],
        customer=tried.customer[here],
    )
