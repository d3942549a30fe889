"""Tables that keep every expectation; a test breaks what it is about."""

import numpy as np
import pandas as pd
import pytest

from fradect.features.contract import Contract
from fradect.modules import contract_of, module_of
from fradect.modules.declaration import FieldType, Module

ROWS = 200
SAMPLES = {
    FieldType.MONEY: 1_990,
    FieldType.NUMBER: 41.0,
    FieldType.CURRENCY: "EUR",
    FieldType.COUNTRY: "DE",
    FieldType.IP: "192.0.2.1",
    FieldType.DOMAIN: "example.org",
    FieldType.PLACE: 524_881_761,
    FieldType.TIME: pd.Timestamp("2024-01-01", tz="UTC"),
    FieldType.CATEGORY: "web",
    FieldType.ID: "a1",
}


@pytest.fixture(scope="session")
def module() -> Module:
    return module_of("ecommerce")


@pytest.fixture(scope="session")
def contract() -> Contract:
    return contract_of("ecommerce/standard")


@pytest.fixture
def events(pristine: pd.DataFrame) -> pd.DataFrame:
    return pristine.copy()


@pytest.fixture(scope="session")
def pristine(module: Module) -> pd.DataFrame:
    """Events that keep every expectation; not to be changed: `events` is a copy of them."""
    times = pd.date_range("2026-01-01", periods=ROWS, freq="min", tz="UTC", unit="us")
    identity = {
        "seq": np.arange(ROWS),
        "event_id": [f"e{i}" for i in range(ROWS)],
        "tenant_id": "default",
        "module": "ecommerce",
        "event_time": times,
        "observed_at": times,
    }
    return pd.DataFrame({**identity, **{name: SAMPLES[kind] for name, kind in module.columns.items()}})


@pytest.fixture
def labels(events: pd.DataFrame) -> pd.DataFrame:
    known = events["event_time"] + pd.Timedelta(days=7)
    columns = events[["event_id", "seq", "event_time"]].assign(kind="fraud", known_at=known)
    return columns.assign(value=columns["seq"] % 50 == 0)


@pytest.fixture
def table(lawful: pd.DataFrame) -> pd.DataFrame:
    return lawful.copy()


@pytest.fixture(scope="session")
def lawful(contract: Contract) -> pd.DataFrame:
    """Features that keep every expectation, 1 being a lawful value of each; `table` is a copy of them."""
    ones = dict.fromkeys(contract.names, np.ones(ROWS))
    return pd.DataFrame({"event_id": [f"e{i}" for i in range(ROWS)], **ones})
