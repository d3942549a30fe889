"""The guardrails of a canary, proven by simulation: how often they cry wolf, how soon they see one.

    python -m benchmarks.gates [--quick] [--ramp] [--runs N] [--json FILE]

A canary has 5 % of the traffic (with --ramp 5, then 25, then 50 %). Both releases' decisions are known on every event,
labels only where the deciding release did not decline. After every 100 decisions of the canary all guardrails are
looked at, up to 500,000. The releases differ on a good part of what they decline and review even where they are equally
good: two releases that agree everywhere would be no test. Values, bets and bounds are those of the product; only counts
are drawn at once for all events of a look, and nothing is tolerated where no difference is simulated, which is hardest.
"""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import NormalDist
from typing import Annotated
from zlib import crc32

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.gates_world import COSTS, PAIRS, SHIFTS, World, costlier, declining, drawn_amounts, equal, mean_cost
from benchmarks.limits import held
from fradect.policy import Guardrails
from fradect.types import Action
from training.canary_gates import GUARDRAILS, UNPAIRED
from training.canary_values import Labelled, cost_excess, paired_excess, paired_lack, rate_excess, score_excess
from training.sequential import Values, log_capital, log_evidence

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LOOK = 100  # decisions of the canary between two looks
HORIZON, SOON = 500_000, 20_000  # decisions of the canary
RAMP = ((0, 0.05), (50_000, 0.25), (150_000, 0.5))
STEADY = ((0, 0.05),)
POWER = 0.95
TOLERANT = Guardrails()
STRICT = replace(
    TOLERANT,
    errors_more=0.0,
    degraded_more=0.0,
    slow_more=0.0,
    declines_more=0.0,
    declines_fewer=0.0,
    reviews_more=0.0,
    score_shift=0.0,
    cost_more=0.0,
)
LIMITS = {"false_alarm_rate": 0.05, "caught_rate_cost": 0.95, "caught_rate_declines": 0.95}


@dataclass(frozen=True, slots=True)
class Watch:
    """How a release is watched: up to which decision of the canary, in blocks of so many looks."""

    rails: Guardrails
    horizon: int
    looks: int = 500
    ramp: tuple[tuple[int, float], ...] = STEADY
    champion_shadowed: bool = True  # whether the canary scores the champion's events too


@dataclass(slots=True)
class Moments:
    """Of the values of one guardrail over all events that were drawn, for the test of a fixed sample."""

    events: int = 0
    total: float = 0.0
    squares: float = 0.0

    def fixed_sample(self, alpha: float) -> float:
        """Events that a test at one moment, set beforehand, needs to see this difference with the usual power."""
        mean = self.total / self.events
        spread = math.sqrt(self.squares / self.events - mean * mean)
        z = NormalDist().inv_cdf(1 - alpha) + NormalDist().inv_cdf(POWER)
        return (z * spread / mean) ** 2 if mean > 0 else math.inf


@dataclass(slots=True)
class Outcome:
    """One scenario: the canary's decisions until rollback (inf: none), and the guardrail that broke first."""

    exposed: list[float] = field(default_factory=list)
    by: dict[str, int] = field(default_factory=dict)
    moments: dict[str, Moments] = field(default_factory=lambda: {"cost": Moments(), "declines": Moments()})

    @property
    def caught(self) -> float:
        return float(np.mean(np.isfinite(self.exposed)))

    @property
    def median(self) -> float:
        return float(np.median(self.exposed))


def watched(rng: np.random.Generator, world: World, watch: Watch, outcome: Outcome) -> None:
    """One run: blocks of looks until a guardrail breaks or the horizon is reached."""
    needed = math.log(len(GUARDRAILS) / watch.rails.alpha)
    capital = dict.fromkeys(GUARDRAILS, np.zeros(1))
    for begun in range(0, watch.horizon, watch.looks * LOOK):
        share = next(s for since, s in reversed(watch.ramp) if begun >= since)
        first: dict[str, int] = {}
        for name, gains in block(rng, world, watch, share, outcome).items():
            levels = capital[name] + np.cumsum(gains, axis=0)
            capital[name] = levels[-1]
            over = np.flatnonzero(log_evidence(levels) >= needed)
            if over.size:
                first[name] = int(over[0])
        if first:
            name = min(first, key=first.__getitem__)
            outcome.by[name] = outcome.by.get(name, 0) + 1
            outcome.exposed.append(float(begun + (first[name] + 1) * LOOK))
            return
    outcome.exposed.append(math.inf)


def block(
    rng: np.random.Generator, world: World, watch: Watch, share: float, outcome: Outcome
) -> dict[str, Floats | Ints]:
    """What each guardrail's stakes gain in each look: arrays of (looks, stakes)."""
    events = round(LOOK / share)
    ours = rng.binomial(events, share, watch.looks)
    cells = [rng.multinomial(n, world.joint.ravel()) for n in (ours, events - ours)]
    pairs = cells[0] + cells[1] if watch.champion_shadowed else cells[0]
    counts = pairs.reshape(-1, 2, 9).sum(axis=1)
    found: dict[str, Floats | Ints] = dict(_rates(rng, world, watch.rails, share, (ours, events - ours)))
    for name, values in _pair_values(watch.rails).items():
        found[name] = counts @ log_capital(values.value / values.low)
    if not watch.champion_shadowed:
        return found  # what a needless decline costs is not known then
    shifts = rng.multinomial(events, world.shifts, watch.looks)
    for name, sign in (("scores_up", 1), ("scores_down", -1)):
        values = score_excess(sign * SHIFTS, np.zeros_like(SHIFTS), watch.rails.score_shift)
        found[name] = shifts @ log_capital(values.value / values.low)
    look, values = drawn_costs(rng, cells, watch.rails, share)
    gains = log_capital(values.value / values.low)
    found["cost"] = np.column_stack([np.bincount(look, column, minlength=watch.looks) for column in gains.T])
    _note(outcome.moments["cost"], events * watch.looks, values.value, np.ones(values.value.size, np.int64))
    declined = _pair_values(watch.rails)["declines"]
    _note(outcome.moments["declines"], events * watch.looks, declined.value, counts.sum(axis=0))
    return found


def _rates(
    rng: np.random.Generator, world: World, rails: Guardrails, share: float, arms: tuple[Ints, Ints]
) -> Mapping[str, Ints]:
    found = {}
    more = (rails.errors_more, rails.degraded_more, rails.slow_more)
    for name, rate, tolerated in zip(UNPAIRED, world.bad, more, strict=True):
        values = rate_excess(np.ones(2, np.bool_), np.array([True, False]), share, tolerated)
        if values is not None:
            bad = np.column_stack([rng.binomial(n, rate) for n in arms])
            found[name] = bad @ log_capital(values.value / values.low)
    return found


def _pair_values(rails: Guardrails) -> dict[str, Values]:
    """The value of each pair of actions, for the guardrails that look at actions alone."""
    declined, too = (PAIRS[side] == Action.DECLINE for side in (0, 1))
    reviewed, reviewed_too = (PAIRS[side] == Action.REVIEW for side in (0, 1))
    return {
        "declines": paired_excess(declined, too, rails.declines_more),
        "declines_fewer": paired_lack(declined, too, rails.declines_fewer),
        "reviews": paired_excess(reviewed, reviewed_too, rails.reviews_more),
    }


def drawn_costs(rng: np.random.Generator, cells: list[Ints], rails: Guardrails, share: float) -> tuple[Ints, Values]:
    """Of every pair that says something of cost: the look it falls into, and its value. Who agree say nothing."""
    looks, columns = [], []
    for in_canary, counts in zip((True, False), cells, strict=True):
        for cell in np.flatnonzero(np.tile(PAIRS[0] != PAIRS[1], 2)):
            fraud, pair = divmod(int(cell), 9)
            look = np.repeat(np.arange(counts.shape[0]), counts[:, cell])
            looks.append(look)
            one = (in_canary, int(PAIRS[0][pair]), int(PAIRS[1][pair]), fraud)
            columns.append(np.tile(np.array(one, np.int64)[:, None], look.size))
    here, canary, champion, fraud_too = np.concatenate(columns, axis=1)
    pairs = Labelled(
        share=share,
        in_canary=here.astype(np.bool_),
        canary_action=canary,
        champion_action=champion,
        amount=drawn_amounts(rng, fraud_too),
        fraud=fraud_too,
        let_through=np.zeros(here.size, np.bool_),
    )
    values = cost_excess(pairs, COSTS, rails)
    if values is None:
        raise SystemExit("a share of 0 or 1 leaves nothing to compare")
    return np.concatenate(looks), values


def _note(moments: Moments, events: int, value: Floats, times: Ints) -> None:
    moments.events += events
    moments.total += float(value @ times)
    moments.squares += float((value * value) @ times)


def scenario(name: str, world: World, watch: Watch, runs: int, console: Console) -> Outcome:
    outcome, begun = Outcome(), time.process_time()
    with console.status(name) as status:
        for run in range(runs):
            watched(np.random.default_rng((crc32(name.encode()), run)), world, watch, outcome)
            status.update(f"{name}: {run + 1:,} of {runs:,} runs, {outcome.caught:.1%} rolled back")
    console.print(f"{name}: {runs:,} runs, {time.process_time() - begun:.0f} s")
    return outcome


def run(
    quick: Annotated[bool, typer.Option("--quick", help="A tenth of the runs.")] = False,
    ramp: Annotated[bool, typer.Option("--ramp", help="5, then 25, then 50 % of the traffic.")] = False,
    runs: Annotated[int, typer.Option(help="Runs without a difference; half as many with one.")] = 1000,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file as well.")] = None,
) -> None:
    """Simulate releases that are no worse, costlier, and stricter; print and judge what the guardrails made of them."""
    console, runs = Console(), runs // 10 if quick else runs
    shares = RAMP if ramp else STEADY
    long, soon = (Watch(TOLERANT, n, n // LOOK if n == SOON else 500, shares) for n in (HORIZON, SOON))
    found = {
        "no difference": scenario("no difference", equal(), Watch(STRICT, HORIZON, ramp=shares), runs, console),
        "lets more fraud through": scenario("lets more fraud through", costlier("fraud"), long, runs // 2, console),
        "insults more": scenario("insults more", costlier("insults"), long, runs // 2, console),
        "ranks worse": scenario("ranks worse", costlier("ranking"), long, runs // 2, console),
        "declines more": scenario("declines more", declining(), soon, runs, console),
        "pairs of the canary alone": scenario(
            "pairs of the canary alone", declining(), replace(soon, champion_shadowed=False), runs, console
        ),
    }
    console.print(shown(found))
    figures = judged(found, shares[0][1])
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=1))
    least = [name for name in LIMITS if name.startswith("caught")]
    if not held(figures, LIMITS, console, at_least=least):
        raise SystemExit(1)


def judged(found: Mapping[str, Outcome], share: float) -> dict[str, float]:
    """The figures. Exposure is the canary's decisions until half of the runs are rolled back, against as many as a test
    of a fixed sample with a power of 95 % and the same alpha needs on the same values."""
    alpha = TOLERANT.alpha / len(GUARDRAILS)
    costly = [found[name] for name in ("lets more fraud through", "insults more", "ranks worse")]
    fraud, insults, ranking = costly
    declines = found["declines more"]
    fixed_cost = share * fraud.moments["cost"].fixed_sample(alpha)
    fixed_declines = share * declines.moments["declines"].fixed_sample(alpha)
    return {
        "false_alarm_rate": found["no difference"].caught,
        "caught_rate": min(one.caught for one in (*costly, declines)),
        "caught_rate_cost": min(one.caught for one in costly),
        "caught_rate_declines": declines.caught,
        "caught_rate_declines_canary_pairs": found["pairs of the canary alone"].caught,
        "exposure_ratio": fraud.median / fixed_cost,
        "exposure_ratio_declines": declines.median / fixed_declines,
        "exposed_cost": fraud.median,
        "exposed_ranking": ranking.median,
        "exposed_insults": insults.median,
        "exposed_declines": declines.median,
        "fixed_sample_cost": fixed_cost,
        "fixed_sample_declines": fixed_declines,
        "cost_per_decision": mean_cost(equal().joint.sum(axis=1)),
    }


def shown(found: Mapping[str, Outcome]) -> Table:
    page = Table(title="Releases on a canary, looked at after every 100 of its decisions")
    for column in ("release", "rolled back", "median exposure", "19 of 20 by", "broken first"):
        page.add_column(column, justify="left" if column in ("release", "broken first") else "right")
    for name, outcome in found.items():
        first = ", ".join(f"{n} {count}" for n, count in sorted(outcome.by.items(), key=lambda item: -item[1]))
        late = float(np.quantile(outcome.exposed, 0.95, method="higher"))
        page.add_row(name, f"{outcome.caught:.1%}", *(_decisions(n) for n in (outcome.median, late)), first)
    return page


def _decisions(count: float) -> str:
    return f"{count:,.0f}" if math.isfinite(count) else "-"


if __name__ == "__main__":
    typer.run(run)
