"""Stored decisions made again, from what the ledger kept of each and the release that made it, compared byte for byte.

What was measured or drawn (ids, times, the request's options) is taken from the row; all else is judged anew.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from fradect.answer import encode
from fradect.exploration import Case, chance, let_through
from fradect.judgement import MODEL, RULES, Loaded, Model, judge
from fradect.types import Decision, Event, Vector

AT_ONCE = 1_000
"""So many vectors are put to the model together."""

Floats = npt.NDArray[np.float64]

_json = msgspec.json.Encoder(order="deterministic")  # as the ledger writes its text columns


@dataclass(frozen=True, slots=True)
class Kept:
    """A decision as the ledger keeps it. `decision`: the row read; its vector has no names, which are the contract's.

    `stored`: the columns that are compared, as they are stored. `explain`: whether the request asked for factors.
    """

    event: Event
    decision: Decision
    explain: bool
    stored: Mapping[str, bytes | str | int]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which decisions; None is every one. `action`: the name of one.

    `since` and, not included, `until`: microseconds, of when it was made. `outcome`: the last that was told, or "none".
    """

    tenant_id: str | None = None
    module: str | None = None
    since: int = 0
    action: str | None = None
    release_id: str | None = None
    until: int | None = None
    outcome: str | None = None
    min_score: int | None = None
    max_score: int | None = None
    customer_id: str | None = None
    degraded: bool | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One column that came out otherwise."""

    column: str
    stored: str
    made: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A decision that did not come out as it is stored, and in what."""

    decision_id: str
    parts: tuple[Part, ...]


def replay(release: Loaded, kept: Iterable[Kept], threads: int = 1) -> Iterator[Difference | None]:
    """One answer for each decision of this release, in their order; None where every byte is the same."""
    coming, names = iter(kept), release.contract.names
    while some := list(islice(coming, AT_ONCE)):
        fitting = [one for one in some if len(one.decision.vector.values) == len(names)]
        made = iter(_judged(release, names, fitting, threads))
        for one in some:
            fits = len(one.decision.vector.values) == len(names)
            yield next(made) if fits else _misfit(one, len(names))


def columns(decision: Decision, answer: bytes) -> dict[str, bytes | str | int]:
    """What a replay compares, as the ledger stores it; a probability as the hexadecimal of its bits."""
    return {
        "score": decision.score,
        "decision": decision.action.name,
        "probability": bits(decision.probability),
        "factors": text(decision.factors),
        "could_not_run": text(decision.could_not_run),
        "degraded": text(decision.degraded),
        "answer": answer,
        "propensity": bits(decision.propensity),
    }


def bits(probability: float | None) -> str:
    return "null" if probability is None else struct.pack(">d", probability).hex()


def text(value: Any) -> str:
    return _json.encode(value).decode()


def _judged(release: Loaded, names: tuple[str, ...], kept: Sequence[Kept], threads: int) -> Iterator[Difference | None]:
    """The model for all of them at once, then each as its request was: judged, and encoded."""
    model = _AskedBefore(release.model, kept, threads)
    asked = replace(release, model=model)
    for place, one in enumerate(kept):
        model.place = place
        parts = _differing(asked, names, one)
        yield Difference(one.decision.decision_id, parts) if parts else None


class _AskedBefore:
    """A model that has answered for every vector, and repeats its answer to the one at `place`.

    A decision that had to be made without a model is made without one again.
    """

    def __init__(self, model: Model, kept: Sequence[Kept], threads: int) -> None:
        self.place = 0
        self._why: dict[int, tuple[Floats, float]] = {}
        self._probability = np.full(len(kept), np.nan)
        asked = [i for i, one in enumerate(kept) if MODEL not in one.decision.degraded]
        if asked:
            self._probability[asked] = model.probability(_matrix(kept, asked))
        explained = [i for i in asked if kept[i].explain]
        if explained:
            shares, baselines = model.contributions_of_all(_matrix(kept, explained), threads)
            self._why = {i: (shares[n], float(baselines[n])) for n, i in enumerate(explained)}

    def probability(self, _matrix: Floats) -> Floats:
        return self._probability[self.place : self.place + 1]

    def probability_of(self, _row: tuple[float, ...]) -> float:
        return float(self._probability[self.place])

    def contributions(self, _row: tuple[float, ...]) -> tuple[Floats, float]:
        return self._why.get(self.place, _NOTHING)

    def contributions_of_all(self, rows: Floats, threads: int) -> tuple[Floats, Floats]:
        raise AssertionError(f"{len(rows)} rows and {threads} threads: all have been asked for")


_NOTHING: tuple[Floats, float] = (np.zeros(0), 0.0)


def _matrix(kept: Sequence[Kept], places: Sequence[int]) -> Floats:
    return np.array([kept[i].decision.vector.values for i in places], np.float64)


def _misfit(kept: Kept, width: int) -> Difference:
    part = Part("vector", f"{len(kept.decision.vector.values)} values", f"the release's contract has {width} features")
    return Difference(kept.decision.decision_id, (part,))


def _differing(release: Loaded, names: tuple[str, ...], kept: Kept) -> tuple[Part, ...]:
    decision = kept.decision
    vector = Vector(names, decision.vector.values, decision.vector.missing)
    gone = tuple(name for name in decision.degraded if name not in (MODEL, RULES))
    judgement = judge(release, kept.event, vector, gone, explain=kept.explain, signals=decision.signals)
    propensity = None
    if decision.propensity is not None:  # drawn, with the result that the row says; whether it could be is judged anew
        propensity = chance(release, Case(kept.event, vector, decision.signals, judgement))
        if propensity is not None and decision.let_through:
            judgement = let_through(judgement, propensity)
    made = msgspec.structs.replace(
        decision,
        action=judgement.action,
        score=judgement.score,
        probability=judgement.probability,
        factors=judgement.factors,
        could_not_run=judgement.could_not_run,
        degraded=judgement.degraded,
        propensity=propensity,
    )
    again = columns(made, encode(made))
    return tuple(
        Part(name, _shown(was), _shown(again[name])) for name, was in kept.stored.items() if was != again[name]
    )


def _shown(value: bytes | str | int) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
