"""Two releases over the same past events: what each decided, what it was worth, and how sure the difference is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt

from fradect.errors import InvalidInput
from fradect.modules.declaration import CostModel
from fradect.policy import money_saved
from fradect.types import DAY, Action
from training.bootstrap import Interval, clusters, intervals, resamples

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]

MEASURES = ("precision", "recall", "false_positive_rate", "money_saved", "declined", "reviewed")
SHARES = frozenset(("precision", "recall", "false_positive_rate", "declined", "reviewed"))
_DRAWN_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Side:
    """What a release made of n events: calibrated probability, score and Action of each."""

    probability: Floats
    score: Ints
    action: Ints


@dataclass(frozen=True, slots=True)
class Tried:
    """n past events with what both releases made of them.

    `matured`: whether the label counts yet. `amount`: minor units of the base currency, `time`: microseconds,
    `customer`: a code, -1 for none. `slices`: way to slice -> part's name.
    """

    candidate: Side
    champion: Side
    label: Flags
    matured: Flags
    amount: Ints
    time: Ints
    customer: Ints
    slices: Mapping[str, Texts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cell:
    """Events that the champion decided one way and the candidate another, or the same. Amount in minor units."""

    champion: str
    candidate: str
    events: int
    amount: int
    matured: int
    frauds: int


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the past, or all of it. `change`: candidate less champion, resampled together.

    Shares are of matured events, `declined` and `reviewed` of all; money in minor units. What is not defined is left
    out.
    """

    by: str
    part: str
    events: int
    matured: int
    frauds: int
    candidate: Mapping[str, Interval]
    champion: Mapping[str, Interval]
    change: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class Day:
    """Events of one day (UTC; `midnight` in microseconds) and how many of them each release has reviewed."""

    midnight: int
    events: int
    candidate: int
    champion: int


@dataclass(frozen=True, slots=True)
class Numbers:
    """A whole backtest. `first` and `last`: microseconds, of events."""

    first: int
    last: int
    changed: int
    cells: tuple[Cell, ...]
    days: tuple[Day, ...]
    whole: Part
    parts: tuple[Part, ...]


def numbers(tried: Tried, costs: CostModel, seed: int) -> Numbers:
    """Everything with its 95 % interval over customers drawn anew. Pure: the same seed gives the same bits."""
    if not tried.time.size:
        raise InvalidInput(
            "backtest: no event lies in that period; `fradect release list` and the log say what there is"
        )
    cluster = clusters(tried.customer)
    count = int(cluster.max()) + 1
    tallies = _tallies(tried, costs)
    chosen = [("", "", np.arange(tried.time.size)), *_parts(tried.slices)]
    tables = [_Tally.of(tallies[rows], cluster[rows]) for _, _, rows in chosen]
    drawn: list[list[Floats]] = [[] for _ in tables]
    coming = resamples(count, seed)
    while weights := list(islice(coming, _DRAWN_AT_ONCE)):
        together = np.array(weights, np.float64)
        for table, sums in zip(tables, drawn, strict=True):
            sums.append(table.sums(together))
    parts = [
        _part(by, name, table, np.concatenate(sums))
        for (by, name, _), table, sums in zip(chosen, tables, drawn, strict=True)
    ]
    return Numbers(
        first=int(tried.time.min()),
        last=int(tried.time.max()),
        changed=int((tried.candidate.action != tried.champion.action).sum()),
        cells=tuple(_cells(tried)),
        days=tuple(_days(tried)),
        whole=parts[0],
        parts=tuple(parts[1:]),
    )


# Columns of the tallies: three of every event, then seven of each release.
_EVENTS, _MATURED, _FRAUDS = range(3)
_CAUGHT, _FALSE, _MISSED, _CLEARED, _MONEY, _DECLINED, _REVIEWED = range(7)
_SIDES = {"candidate": 3, "champion": 10}


def _tallies(tried: Tried, costs: CostModel) -> Floats:
    """(n, 17): all that the measures are sums of."""
    matured, fraud = tried.matured, tried.matured & tried.label
    columns = [np.ones(matured.size), matured, fraud]
    for side in (tried.candidate, tried.champion):
        alarm = side.action > Action.APPROVE
        money = np.where(matured, money_saved(costs, tried.amount, tried.label, side.action), 0.0)
        honest = matured & ~tried.label
        columns += [alarm & fraud, alarm & honest, ~alarm & fraud, ~alarm & honest, money]
        columns += [side.action == Action.DECLINE, side.action == Action.REVIEW]
    return np.column_stack([np.asarray(column, np.float64) for column in columns])


@dataclass(frozen=True, slots=True)
class _Tally:
    """Sums of the tallies by cluster, for the clusters that a part has: `codes` are theirs."""

    codes: Ints
    table: Floats

    @classmethod
    def of(cls, tallies: Floats, cluster: Ints) -> "_Tally":
        codes, own = np.unique(cluster, return_inverse=True)
        columns = [np.bincount(own, column, minlength=codes.size) for column in tallies.T]
        return cls(codes, np.column_stack(columns))

    def sums(self, weights: Floats) -> Floats:
        """(draws, columns) for weights (draws, clusters of all)."""
        found: Floats = weights[:, self.codes] @ self.table
        return found


def _part(by: str, name: str, tally: _Tally, drawn: Floats) -> Part:
    whole = tally.table.sum(axis=0)
    sides = {side: _measures(whole, start) for side, start in _SIDES.items()}
    rows = {side: [_measures(row, start) for row in drawn] for side, start in _SIDES.items()}
    change = {name: sides["candidate"][name] - sides["champion"][name] for name in MEASURES}
    moved = [
        {name: ours[name] - theirs[name] for name in MEASURES}
        for ours, theirs in zip(rows["candidate"], rows["champion"], strict=True)
    ]
    return Part(
        by=by,
        part=name,
        events=int(whole[_EVENTS]),
        matured=int(whole[_MATURED]),
        frauds=int(whole[_FRAUDS]),
        candidate=intervals(sides["candidate"], rows["candidate"], SHARES),
        champion=intervals(sides["champion"], rows["champion"], SHARES),
        change=intervals(change, moved),
    )


def _measures(sums: Floats, start: int) -> dict[str, float]:
    events, own = float(sums[_EVENTS]), [float(one) for one in sums[start : start + 7]]
    return {
        "precision": _over(own[_CAUGHT], own[_CAUGHT] + own[_FALSE]),
        "recall": _over(own[_CAUGHT], own[_CAUGHT] + own[_MISSED]),
        "false_positive_rate": _over(own[_FALSE], own[_FALSE] + own[_CLEARED]),
        "money_saved": own[_MONEY],
        "declined": _over(own[_DECLINED], events),
        "reviewed": _over(own[_REVIEWED], events),
    }


def _over(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _parts(slices: Mapping[str, Texts]) -> Iterator[tuple[str, str, Ints]]:
    for by, names in slices.items():
        parts, code = np.unique(names.astype(str), return_inverse=True)
        for i, part in enumerate(parts):
            yield by, str(part), np.flatnonzero(code == i)


def _cells(tried: Tried) -> Iterator[Cell]:
    code = tried.champion.action * len(Action) + tried.candidate.action
    fraud = tried.matured & tried.label
    sums = [
        np.bincount(code, np.asarray(column, np.float64), minlength=len(Action) ** 2)
        for column in (np.ones(code.size), tried.amount, tried.matured, fraud)
    ]
    for i, (events, amount, matured, frauds) in enumerate(zip(*sums, strict=True)):
        was, now = divmod(i, len(Action))
        yield Cell(Action(was).name, Action(now).name, int(events), int(amount), int(matured), int(frauds))


def _days(tried: Tried) -> Iterator[Day]:
    days, code = np.unique(tried.time // DAY, return_inverse=True)
    events = np.bincount(code)
    loads = [
        np.bincount(code, side.action == Action.REVIEW, minlength=days.size)
        for side in (tried.candidate, tried.champion)
    ]
    for day, count, ours, theirs in zip(days.tolist(), events.tolist(), *loads, strict=True):
        yield Day(day * DAY, count, int(ours), int(theirs))
