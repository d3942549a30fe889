"""Feast for the peers: a view for each entity's windows and one for the customer's snapshot, filled for all keys."""

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64

from fradect.adapters.online_address import RedisAddress, address_of


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


class Filled:
    """Views by name: whose key they have, their features, and the values of every key (keys x features)."""

    def __init__(self, url: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        with _quiet():
            self._store = open_store(url, folder)
        self.references: list[str] = []

    def add(self, view: str, field: str, names: Sequence[str], rows: Mapping[str, np.ndarray]) -> None:
        """Register a view and write its rows."""
        entity = Entity(name=field, join_keys=[field], value_type=ValueType.STRING)
        registered = FeatureView(
            name=view,
            entities=[entity],
            ttl=timedelta(0),
            schema=[Field(name=name, dtype=Float64) for name in names],
            source=FileSource(name=f"{view}_rows", path=str(self._folder / f"{view}.parquet"), timestamp_field="at"),
        )
        values = np.array(list(rows.values()))
        frame = pd.DataFrame({field: list(rows), **dict(zip(names, values.T, strict=True)), "at": datetime.now(UTC)})
        with _quiet():
            self._store.apply([entity, registered])
            self._store.refresh_registry()
            self._store.write_to_online_store(view, frame)
        self.references += [f"{view}:{name}" for name in names]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
