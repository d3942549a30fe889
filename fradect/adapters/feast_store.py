"""Feast's door: the registry of a contract's three views, point-in-time joins, and customer snapshots online.

One Feast project per (module, tenant). Its SQLite online store is not safe for threads, so reads take turns here.
"""

import contextlib
import io
import math
import sqlite3
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64

from fradect.adapters.places import Places
from fradect.adapters.snapshot_store import digest
from fradect.errors import Conflict, NotFound, Refused
from fradect.features.contract import Contract, Feature, Kind
from fradect.features.live import Snapshot
from fradect.features.snapshots import TTL, of_customers
from fradect.modules.declaration import Module
from fradect.types import DAY, SECOND, Event

CUSTOMERS, TRANSACTIONS, DERIVED = "customer_features", "transaction_features", "derived_features"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KNOWN_FOR = 30.0  # seconds for which what the registry said is taken as still true


@dataclass(frozen=True, slots=True)
class Definitions:
    """What Feast registers for a contract; a view that would hold no feature is None."""

    customer: Entity
    transaction: Entity
    customer_features: FeatureView | None
    transaction_features: FeatureView | None
    derived_features: FeatureView | None
    service: FeatureService

    @property
    def views(self) -> list[FeatureView]:
        views = (self.customer_features, self.transaction_features, self.derived_features)
        return [view for view in views if view is not None]


def define(contract: Contract, places: Places) -> Definitions:
    """Entities, views over the files that history and snapshots publish, and the contract's feature service."""
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    transaction = Entity(name="transaction", join_keys=["event_id"], value_type=ValueType.STRING)
    snapshots = _source(CUSTOMERS, places.snapshots(contract), "event_timestamp")
    events = _source("event_features", places.features(contract), "event_time")
    customers = _view(CUSTOMERS, customer, snapshots, contract.of_kind(Kind.BATCH))
    transactions = _view(TRANSACTIONS, transaction, events, contract.of_kind(Kind.REQUEST))
    derived = _view(DERIVED, transaction, events, contract.of_kind(Kind.LIVE, Kind.DERIVED))
    views = [view for view in (customers, transactions, derived) if view is not None]
    service = FeatureService(name=service_name(contract), features=views, tags={"contract": contract.hash})
    return Definitions(customer, transaction, customers, transactions, derived, service)


def service_name(contract: Contract) -> str:
    """The contract's name and the beginning of its hash: another contract is another service."""
    return f"{contract.name.replace('/', '_')}_{contract.hash[:8]}"


def _source(name: str, path: Path, timestamp: str) -> FileSource:
    return FileSource(name=name, path=str(path), timestamp_field=timestamp, created_timestamp_column="created")


def _view(name: str, entity: Entity, source: FileSource, features: Sequence[Feature]) -> FeatureView | None:
    """Only customers' snapshots grow old and are served online; an event's features are the event's own."""
    schema = [Field(name=f.name, dtype=Float64, description=f.meaning, tags={"unit": f.unit}) for f in features]
    if not schema:
        return None
    online = name == CUSTOMERS
    ttl = timedelta(microseconds=TTL if online else 0)
    return FeatureView(name=name, entities=[entity], ttl=ttl, schema=schema, source=source, online=online)


@dataclass(frozen=True, slots=True)
class _Online:
    """What is known of the online store, and since when (monotonic seconds): features held, last materialisation."""

    read_at: float
    names: frozenset[str] = frozenset()
    until: int | None = None


class FeastStore:
    """Implements the port BatchFeatures, and what the batch needs of Feast."""

    def __init__(self, places: Places, module: Module, contract: Contract, freshness_days: int = 7) -> None:
        self._places = places
        self._contract = contract
        self._owner = module.entities.get("customer")
        self._batch = contract.of_kind(Kind.BATCH)
        self._freshness = freshness_days * DAY
        self._turn = threading.Lock()
        self._online = _Online(-math.inf)
        places.feast.mkdir(parents=True, exist_ok=True)
        self._settings = _settings(places.feast)
        self._store = FeatureStore(config=RepoConfig(**self._settings))

    def apply(self) -> str:
        """Register the contract; idempotent. Returns the name of its feature service.

        Leaves a feature_store.yaml beside the registry, for Feast's own command line and page.
        """
        definitions = define(self._contract, self._places)
        (self._places.feast / "feature_store.yaml").write_text(yaml.safe_dump(self._settings, sort_keys=False))
        with self._turn, _quiet():
            self._store.apply([definitions.customer, definitions.transaction, *definitions.views, definitions.service])
        with contextlib.closing(sqlite3.connect(self._settings["online_store"]["path"])) as online:
            online.execute("PRAGMA journal_mode=WAL")  # stays with the file: readers do not wait for a materialisation
        return str(definitions.service.name)

    def materialise(self, until: int) -> bool:
        """Bring the online store to the snapshots of `until` (microseconds); whether there was anything to do.

        Incremental, unless snapshots that had been materialised before were rewritten since.
        """
        if not self._batch:
            return False
        snapshots = self._places.snapshots(self._contract)
        if not snapshots.is_file():
            raise NotFound(f"no snapshots at {snapshots}: build them before materialising")
        online = self._registered()
        if not online.names:
            raise NotFound(f"{CUSTOMERS} is not registered for {self._places.feast.name}: apply the contract first")
        done = online.until
        start = until - TTL if done is None or self._mark(done) != self._marked() else done
        if done is not None and start == done >= until:
            return False
        with self._turn, _quiet():
            self._store.materialize(_moment(start), _moment(until), feature_views=[CUSTOMERS])
        self._marks.write_text(self._mark(until))
        self._online = self._registered()
        return True

    def training_set_feast(self, entity_df: pd.DataFrame) -> pd.DataFrame:
        """Feast's own point-in-time join: the public way and the oracle, for thousands of rows rather than millions.

        `entity_df`: event_id, customer_id, event_timestamp (UTC). Returns its columns and the contract's features
        in contract order, one row per row given, in any order.
        """
        service = self._store.get_feature_service(service_name(self._contract))
        with _quiet():
            joined: pd.DataFrame = self._store.get_historical_features(
                entity_df, service, filter_by_created_timestamp=True
            ).to_df()
        if len(joined) != len(entity_df):
            raise Conflict(f"Feast joined {len(joined)} rows from {len(entity_df)}; are event ids unique?")
        named = joined["customer_id"].notna().to_numpy()
        for feature in self._batch:
            joined[feature.name] = of_customers(feature, joined[feature.name].to_numpy(np.float64), named)
        return joined.loc[:, [*entity_df.columns, *self._contract.names]]

    def read(self, event: Event) -> Snapshot:
        """The customer's newest snapshot. Features are missing when the event names no customer or the store was
        not brought up to date for `freshness_days`; a customer without a snapshot has none, and nothing missing."""
        if event.tenant_id != self._places.tenant:
            raise Refused(f"the feature store of tenant {self._places.tenant!r} was asked for another tenant's event")
        online = self._known()
        customer = event.fields.get(self._owner) if self._owner else None
        reason = "the event names no customer" if customer is None else self._stale(online, event.event_time)
        if reason is not None:
            return Snapshot({}, dict.fromkeys((feature.name for feature in self._batch), reason))
        held = [feature.name for feature in self._batch if feature.name in online.names]
        absent = {f.name: "the feature store does not hold it" for f in self._batch if f.name not in online.names}
        return Snapshot(self._values(held, str(customer), event.event_time) if held else {}, absent)

    def _values(self, names: Sequence[str], customer: str, now: int) -> dict[str, float]:
        references = [f"{CUSTOMERS}:{name}" for name in names]
        with self._turn:
            answer = self._store.get_online_features(references, [{"customer_id": customer}])
        cells: Mapping[str, list[Any]] = answer.to_dict(include_event_timestamps=True)
        return {
            name: float(cells[name][0])
            for name in names
            if cells[name][0] is not None and cells[f"{name}__ts"][0] * SECOND + TTL >= now
        }

    def _stale(self, online: _Online, now: int) -> str | None:
        if online.until is None:
            return "customer snapshots were never materialised"
        if now - online.until > self._freshness:
            return f"customer snapshots are of {_moment(online.until):%Y-%m-%d}, {(now - online.until) // DAY} days old"
        return None

    def _known(self) -> _Online:
        """As of half a minute ago at most, so that a request seldom reads the registry."""
        if self._batch and time.monotonic() - self._online.read_at > _KNOWN_FOR:
            self._online = self._registered()
        return self._online

    def _registered(self) -> _Online:
        with self._turn:
            self._store.refresh_registry()
            view = next((view for view in self._store.list_feature_views() if view.name == CUSTOMERS), None)
        if view is None:
            return _Online(time.monotonic())
        end = view.most_recent_end_time
        until = None if end is None else (end.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
        return _Online(time.monotonic(), frozenset(field.name for field in view.features), until)

    def _mark(self, until: int) -> str:
        return digest(self._places.snapshots(self._contract), until)

    def _marked(self) -> str | None:
        return self._marks.read_text() if self._marks.is_file() else None

    @property
    def _marks(self) -> Path:
        return self._places.feast / "materialised"


def _settings(folder: Path) -> dict[str, Any]:
    """The content of a feature_store.yaml (feature_repo/feature_store.yaml says why)."""
    return {
        "project": folder.name,
        "provider": "local",
        "registry": {
            "registry_type": "sql",
            "path": f"sqlite:///{folder / 'registry.db'}",
            "cache_ttl_seconds": 60,
        },
        "offline_store": {"type": "duckdb"},
        "online_store": {"type": "sqlite", "path": str(folder / "online.db")},
        "entity_key_serialization_version": 3,
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Feast prints its progress, and a package below it calls what DuckDB has renamed."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
