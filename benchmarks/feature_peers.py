"""What `benchmarks.features` compares with: Feast's API over the same values, and the stored bytes read raw.

Feast's views hold, for each of the six entities, as many Float64 features as the contract has windows over it, and the
customer's snapshot, written by Feast itself; the values are those of the vectors that we compute. The raw read fetches
what our own read must fetch for an event, in one pipeline or one statement each, and looks at none of it.
"""

import contextlib
import io
import sqlite3
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import redis
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64

from fradect.adapters.feast_format import CUSTOMERS, entity_key, field_name
from fradect.adapters.online_address import RedisAddress, address_of
from fradect.features.contract import Contract, Kind
from fradect.features.held import Held
from fradect.modules.declaration import Module
from fradect.types import Event, Vector

Read = Callable[[Event], object]


@dataclass(frozen=True, slots=True)
class Case:
    """Events to read for, their vectors, and what the live state holds of their entities, by entity and key."""

    module: Module
    contract: Contract
    probes: Sequence[Event]
    vectors: Sequence[Vector]
    held: Mapping[tuple[str, str], Held]
    named: Callable[[str], str]
    """What the feature store calls a customer."""

    def of_customers(self) -> dict[str, bytes]:
        """By customer, the key that Feast files the snapshot under."""
        field = self.module.entities["customer"]
        return {str(event.fields[field]): entity_key(self.named(str(event.fields[field]))) for event in self.probes}

    def keys(self, event: Event) -> list[tuple[str, str]]:
        """Which keys of the live state the event reads."""
        return [(entity, str(event.fields[self.module.entities[entity]])) for entity in self.contract.entities]


def feast_peer(case: Case, url: str, folder: Path) -> Callable[[Event], Mapping[str, Any]]:
    """`get_online_features` for one event: every window of its six entities, and its customer's snapshot."""
    address = address_of(url)
    online: dict[str, Any] = {"type": "sqlite", "path": str(folder / "online.db")}
    if isinstance(address, RedisAddress):
        online = {"type": "redis", "connection_string": address.feast(secret=True)}
    with _quiet():
        store = FeatureStore(
            config=RepoConfig(
                project="peer",
                provider="local",
                registry={"registry_type": "sql", "path": f"sqlite:///{folder / 'registry.db'}"},
                offline_store={"type": "duckdb"},
                online_store=online,
                entity_key_serialization_version=3,
            )
        )
        views = _views(case, folder)
        entities = {view.entities[0]: _entity(case.module, view.entities[0]) for view in views}
        store.apply([*entities.values(), *views])
        for view in views:
            store.write_to_online_store(view.name, _rows(case, view))
    references = [f"{view.name}:{field.name}" for view in views for field in view.schema if field.dtype == Float64]
    fields = tuple(case.module.entities[entity] for entity in case.contract.entities)

    def read(event: Event) -> Mapping[str, Any]:
        answer = store.get_online_features(references, [{field: event.fields[field] for field in fields}])
        told: Mapping[str, Any] = answer.to_dict()
        return told

    return read


def _entity(module: Module, name: str) -> Entity:
    return Entity(name=name, join_keys=[module.entities[name]], value_type=ValueType.STRING)


def _views(case: Case, folder: Path) -> list[FeatureView]:
    features = {
        f"{entity}_windows": (entity, [f.name for f, w in case.contract.windows if w.entity == entity])
        for entity in case.contract.entities
    }
    features[CUSTOMERS] = ("customer", [f.name for f in case.contract.of_kind(Kind.BATCH)])
    return [
        FeatureView(
            name=name,
            entities=[_entity(case.module, entity)],
            ttl=timedelta(0),
            schema=[Field(name=feature, dtype=Float64) for feature in names],
            source=FileSource(name=f"{name}_rows", path=str(folder / f"{name}.parquet"), timestamp_field="at"),
        )
        for name, (entity, names) in features.items()
    ]


def _rows(case: Case, view: FeatureView) -> pd.DataFrame:
    """The newest vector's values for each key."""
    field = case.module.entities[view.entities[0]]
    names = [f.name for f in view.schema if f.dtype == Float64]
    newest = {
        str(event.fields[field]): dict(zip(vector.names, vector.values, strict=True))
        for event, vector in zip(case.probes, case.vectors, strict=True)
    }
    columns: dict[str, Any] = {name: [values[name] for values in newest.values()] for name in names}
    return pd.DataFrame({field: list(newest), **columns, "at": datetime.now(UTC)})


class RawRedis:
    """Each entity's bytes under a key of its own."""

    def __init__(self, case: Case, url: str, project: str) -> None:
        self._case = case
        self._project = project.encode()
        self._customers = case.of_customers()
        self._filled = f"fradect:online:{project}"
        self._client = redis.Redis.from_url(url)
        self._fields = [*(field_name(f.name) for f in case.contract.of_kind(Kind.BATCH)), f"_ts:{CUSTOMERS}".encode()]
        for (entity, key), held in case.held.items():
            self._client.set(f"raw:{entity}:{key}", packed(held))

    def all(self, event: Event) -> object:
        """Live and batch in one pipeline, looked at by nobody."""
        key: Any = self._customers[str(event.fields[self._case.module.entities["customer"]])] + self._project
        with self._client.pipeline(transaction=False) as pipe:
            for entity, name in self._case.keys(event):
                pipe.get(f"raw:{entity}:{name}")
            pipe.hmget(key, self._fields)
            pipe.get(self._filled)
            return pipe.execute()


class RawSqlite:
    """A row for each entity's bytes; the customer's snapshot in the file that Feast writes."""

    def __init__(self, case: Case, folder: Path, online: Path, project: str) -> None:
        self._case = case
        self._customers = case.of_customers()
        self._live = sqlite3.connect(folder / "raw.db")
        columns = "entity TEXT, key TEXT, bytes BLOB, PRIMARY KEY (entity, key)"
        self._live.execute(f"CREATE TABLE held ({columns}) WITHOUT ROWID")
        with self._live:
            rows = ((entity, key, packed(held)) for (entity, key), held in case.held.items())
            self._live.executemany("INSERT INTO held VALUES (?, ?, ?)", rows)
        self._batch = sqlite3.connect(f"{online.absolute().as_uri()}?mode=ro", uri=True)
        of_key = "SELECT entity, bytes FROM held WHERE entity = ? AND key = ?"
        self._of_keys = " UNION ALL ".join([of_key] * len(case.contract.entities))
        self._of_customer = f'SELECT feature_name, value, event_ts FROM "{project}_{CUSTOMERS}" WHERE entity_key = ?'  # noqa: S608

    def all(self, event: Event) -> object:
        """Live and batch in one statement each, looked at by nobody."""
        customer = self._customers[str(event.fields[self._case.module.entities["customer"]])]
        return self._rows(event), self._batch.execute(self._of_customer, (customer,)).fetchall()

    def _rows(self, event: Event) -> list[tuple[str, bytes]]:
        return self._live.execute(self._of_keys, [part for key in self._case.keys(event) for part in key]).fetchall()


_LENGTHS = struct.Struct("<5I")


def packed(held: Held) -> bytes:
    parts = (held.rows, held.fresh, held.tiles, held.outcomes, held.matured)
    return _LENGTHS.pack(*map(len, parts)) + b"".join(parts)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Feast prints its progress, and a package below it calls what DuckDB has renamed."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
