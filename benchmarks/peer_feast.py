"""Feast for the peers: a view for each entity's windows and one for the customer's snapshot, filled for all keys."""

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64

from fradect.adapters.online_address import RedisAddress, address_of

Row = npt.NDArray[np.float64]


def open_store(url: str, folder: Path) -> FeatureStore:
    """The registry is read once: a team that looks at its traces finds this soon."""
    address = address_of(url)
    assert isinstance(address, RedisAddress)  # noqa: S101  the benchmark's own
    return FeatureStore(
        config=RepoConfig(
            project="peer",
            provider="local",
            registry={"registry_type": "sql", "path": f"sqlite:///{folder / 'registry.db'}", "cache_ttl_seconds": 3600},
            offline_store={"type": "duckdb"},
            online_store={"type": "redis", "connection_string": address.feast(secret=True)},
            entity_key_serialization_version=3,
        )
    )


@dataclass(frozen=True, slots=True)
class View:
    """A view to be filled: the field whose key it has, its features, and their values by key."""

    name: str
    field: str
    features: Sequence[str]
    rows: Mapping[str, Row]


def fill(url: str, folder: Path, views: Sequence[View]) -> list[str]:
    """Register the views and write what they hold; how Feast refers to every feature."""
    folder.mkdir(parents=True, exist_ok=True)
    entities = {view.field: _entity(view.field) for view in views}
    with _quiet():
        open_store(url, folder).apply([*entities.values(), *(_registered(view, folder) for view in views)])
        store = open_store(url, folder)  # reads the registry anew
        for view in views:
            store.write_to_online_store(view.name, _frame(view))
    return [f"{view.name}:{name}" for view in views for name in view.features]


def _entity(field: str) -> Entity:
    return Entity(name=field, join_keys=[field], value_type=ValueType.STRING)


def _registered(view: View, folder: Path) -> FeatureView:
    return FeatureView(
        name=view.name,
        entities=[_entity(view.field)],
        ttl=timedelta(0),
        schema=[Field(name=name, dtype=Float64) for name in view.features],
        source=FileSource(name=f"{view.name}_rows", path=str(folder / f"{view.name}.parquet"), timestamp_field="at"),
    )


def _frame(view: View) -> pd.DataFrame:
    columns: dict[str, Any] = dict(zip(view.features, np.array(list(view.rows.values())).T, strict=True))
    return pd.DataFrame({view.field: list(view.rows), **columns, "at": datetime.now(UTC)})


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
