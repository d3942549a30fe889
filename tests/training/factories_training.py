"""Small data sets whose fraud is partly predictable, and what evaluation makes of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fradect.features.contract import Contract, Feature, Kind
from fradect.modules.ecommerce import MODULE
from fradect.policy import Policy, actions, to_scores
from fradect.types import DAY
from training.dataset import Dataset, SplitPlan, Splits, split
from training.evaluate import Evaluation, Scored, evaluate

START = 20_000 * DAY
COSTS = MODULE.costs
POLICY = Policy(review=200, decline=600, base_currency="EUR", costs=COSTS)


def _feature(name: str, categories: tuple[str, ...] = (), monotone: int = 0) -> Feature:
    return Feature(name, Kind.REQUEST, "u", f"meaning of {name}", categories=categories, monotone=monotone)


CONTRACT = Contract(
    name="ecommerce/test",
    module="ecommerce",
    requires=("amount",),
    features=(_feature("signal"), _feature("noise"), _feature("channel", ("web", "app", "call_centre"))),
)
PLAN = SplitPlan(delay=2 * DAY, least_rows=50, least_frauds=5)


def make_dataset(n: int = 3_000, seed: int = 0, days: int = 40) -> Dataset:
    """Fraud follows `signal` and one channel; `noise` means nothing; a few values are missing."""
    rng = np.random.default_rng(seed)
    matrix = np.column_stack([rng.normal(size=n), rng.normal(size=n), rng.integers(0, 3, n)]).astype(np.float64)
    odds = -3.0 + 1.6 * matrix[:, 0] + 1.2 * (matrix[:, 2] == 2)
    label = rng.random(n) < 1 / (1 + np.exp(-odds))
    matrix[rng.random(n) < 0.03, 0] = np.nan
    matrix[rng.random(n) < 0.03, 2] = np.nan
    time = START + np.sort(rng.integers(0, days * DAY, n))
    return Dataset(
        names=CONTRACT.names,
        matrix=matrix,
        label=label,
        labelled=np.ones(n, np.bool_),
        amount=rng.integers(500, 50_000, n),
        time=time,
        known_at=time + 2 * DAY,
        customer=rng.integers(0, n // 10, n),
        event_id=np.array([f"e{i}" for i in range(n)], object),
        protected={"sex": np.array(["f", "m", None], object)[rng.integers(0, 3, n)]},
    )


def cut(dataset: Dataset) -> Splits:
    return split(dataset, PLAN)


@dataclass(frozen=True, slots=True)
class Made:
    scored: Scored
    evaluation: Evaluation


def make_scored(n: int = 2_000, seed: int = 0, skill: float = 2.0, **changes: Any) -> Scored:
    """Calibrated scores of a given skill; the same seed gives the same events whatever the skill."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    label = rng.random(n) < 1 / (1 + np.exp(3.0 - 2.0 * truth))
    seen = truth + rng.normal(size=n) / skill
    probability = 1 / (1 + np.exp(3.0 - 2.0 * seen))
    fields: dict[str, Any] = {
        "probability": probability,
        "chosen": actions(to_scores(probability), POLICY),
        "label": label,
        "amount": rng.integers(500, 50_000, n),
        "time": START + np.sort(rng.integers(0, 10 * DAY, n)),
        "customer": rng.integers(0, n // 8, n),
        "slices": {"channel": np.array(["web", "app"], object)[rng.integers(0, 2, n)]},
    }
    return Scored(**{**fields, **changes})


def make_evaluated(**changes: Any) -> Made:
    scored = make_scored(**changes)
    return Made(scored, evaluate(scored, POLICY, seed=1))
