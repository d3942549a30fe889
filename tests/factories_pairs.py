"""Pairs of a trial that never took place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fradect.pairs import UNKNOWN, Pair, PairColumns, Said
from fradect.types import Action

APPROVE, REVIEW, DECLINE = Action


@dataclass(frozen=True)
class Trial:
    """`declines`: how often each release declines, the challenger's first; of events on which it has its own mind."""

    share: int = 0
    declines: tuple[float, float] = (0.05, 0.05)
    failing: float = 0.0
    customers: int = 1_000_000
    at: int = 1_000
    names: tuple[str, str] = ("rel_b", "rel_a")


def made(many: int, trial: Trial, seed: int = 1) -> list[Pair]:
    """A pair a microsecond; the challenger decides for a share of the customers, and fails now and then."""
    rng = np.random.default_rng((seed, trial.share))
    luck, broken = rng.random(many), rng.random(many) < trial.failing
    subjects = rng.integers(0, trial.customers, many)
    pairs = []
    for n in range(many):
        ours, theirs = (_said(luck[n] < rate) for rate in trial.declines)
        by_challenger = int(subjects[n]) * 7_919 % 10_000 < trial.share
        if broken[n]:
            ours = Said(failed="ValueError", took_us=300)
        pairs.append(
            Pair(
                tenant_id="demo",
                module="ecommerce",
                challenger=trial.names[0],
                champion=trial.names[1],
                share=trial.share,
                decision_id=f"dec_{trial.at}_{n}",
                decided_at=trial.at + n,
                subject=int(subjects[n]),
                amount=100_000,
                by_challenger=by_challenger,
                request_us=4_000,
                theirs=theirs,
                ours=ours,
            )
        )
    return pairs


def columns(pairs: Sequence[Pair]) -> PairColumns:
    """As they are read back."""
    found: dict[str, Any] = {"decision_id": tuple(pair.decision_id for pair in pairs)}
    for name in ("decided_at", "share", "subject", "amount", "request_us"):
        found[name] = np.array([getattr(pair, name) for pair in pairs], np.int64)
    found["by_challenger"] = np.array([pair.by_challenger for pair in pairs], np.bool_)
    for side in ("theirs", "ours"):
        said = [getattr(pair, side) for pair in pairs]
        for name in ("action", "score"):
            given = [getattr(one, name) for one in said]
            found[f"{side}_{name}"] = np.array([UNKNOWN if one is None else one for one in given], np.int64)
        for name in ("degraded", "failed"):
            found[f"{side}_{name}"] = np.array([bool(getattr(one, name)) for one in said], np.bool_)
        found[f"{side}_us"] = np.array([one.took_us for one in said], np.int64)
    return PairColumns(**found)


def _said(declines: bool) -> Said:
    return Said(DECLINE, 900, took_us=300) if declines else Said(APPROVE, 100, took_us=300)
