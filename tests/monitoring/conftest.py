"""Traffic of our own making: correlated features of the Handbook's contract, with a score and an action."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from fradect.features.contract import Contract, Feature
from fradect.modules import contract_of

Traffic = Callable[[int, int], pd.DataFrame]


@pytest.fixture(scope="session")
def contract() -> Contract:
    return contract_of("ecommerce/handbook")


@pytest.fixture(scope="session")
def traffic(contract: Contract) -> Traffic:
    """So many rows from a seed; every seed draws from the same distribution."""

    def draw(rows: int, seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        hidden = rng.normal(size=rows)
        frame = pd.DataFrame({feature.name: _values(feature, rng, hidden) for feature in contract})
        frame["probability"] = 1 / (1 + np.exp(4 - 1.5 * hidden))
        frame["action"] = np.select([frame["probability"] > 0.3, frame["probability"] > 0.1], [2, 1], 0)
        return frame

    return draw


@pytest.fixture(scope="session")
def reference(traffic: Traffic) -> pd.DataFrame:
    return traffic(5_000, 1)


def _values(feature: Feature, rng: np.random.Generator, hidden: np.ndarray) -> np.ndarray:
    own = 0.7 * hidden + 0.7 * rng.normal(size=hidden.size)
    match feature.unit:
        case "0/1":
            return (own > 1).astype(float)
        case "share":
            return np.where(rng.random(hidden.size) < 0.85, 0.0, rng.random(hidden.size) * 0.3)
        case "events":
            return np.floor(np.exp(np.maximum(own, 0.0)))
        case _:
            return np.exp(own + 8)
