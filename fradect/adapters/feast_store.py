"""Feast's door: the registry of a contract's three views, point-in-time joins, and customer snapshots put online.

One Feast project per (module, tenant).
"""

import contextlib
import fcntl
import io
import json
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import yaml
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64

from fradect.adapters.feast_format import CUSTOMERS, JOIN_KEY
from fradect.adapters.feast_online import Filled, online_file, open_online
from fradect.adapters.online_address import FolderAddress, address_of
from fradect.adapters.places import Places, publishing
from fradect.adapters.pseudonyms import Pseudonyms
from fradect.adapters.snapshot_store import digest
from fradect.errors import Conflict, NotFound
from fradect.features.contract import Contract, Feature, Kind
from fradect.features.snapshots import TTL, of_customers
from fradect.types import DAY, SECOND

TRANSACTIONS, DERIVED = "transaction_features", "derived_features"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PATIENCE = 30.0  # seconds that the batch waits for the online store
_KEPT = TTL + 8 * DAY  # in Redis: no value disappears that could still count, were the store a week behind


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
    customer = Entity(name="customer", join_keys=[JOIN_KEY], value_type=ValueType.STRING)
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


class FeastStore:
    """What the batch needs of Feast. The service reads what is put online through `online_snapshots`."""

    def __init__(self, places: Places, contract: Contract, online_url: str) -> None:
        self._places = places
        self._contract = contract
        self._batch = contract.of_kind(Kind.BATCH)
        self._address = address_of(online_url)
        names = [feature.name for feature in self._batch]
        self._online = open_online(online_url, places, names, patience=_PATIENCE)
        self._key_id = Pseudonyms(places).key_id
        places.feast.mkdir(parents=True, exist_ok=True)
        self._store = FeatureStore(config=RepoConfig(**self._settings(secret=True)))

    def apply(self) -> str:
        """Register the contract; idempotent. Returns the name of its feature service.

        Leaves a feature_store.yaml beside the registry, for Feast's own command line and page. It holds no password.
        """
        definitions = define(self._contract, self._places)
        with publishing(self._places.feast / "feature_store.yaml") as staging:
            staging.write_text(yaml.safe_dump(self._settings(secret=False), sort_keys=False))
        with _quiet():
            self._store.apply([definitions.customer, definitions.transaction, *definitions.views, definitions.service])
        self._online.prepare()
        return str(definitions.service.name)

    def materialise(self, until: int) -> bool:
        """Bring the online store to the snapshots of `until` (microseconds); whether there was anything to do.

        Incremental, unless the store is another one or was emptied, or snapshots that it holds were rewritten since:
        then everything is written again, and customers who have no snapshot any more are taken out.
        """
        if not self._batch:
            return False
        snapshots = self._places.snapshots(self._contract)
        if not snapshots.is_file():
            raise NotFound(f"no snapshots at {snapshots}: build them before materialising")
        names = self._registered()
        if not names:
            raise NotFound(f"{CUSTOMERS} is not registered for {self._places.feast.name}: apply the contract first")
        with self._alone():
            return self._bring(names, until)

    def _bring(self, names: tuple[str, ...], until: int) -> bool:
        done = self._online.filled()
        is_ours = done is not None and (done.features, done.key_id) == (names, self._key_id)
        kept = is_ours and done is not None and done.mark == self._mark(done.until)
        if done is not None:
            if kept and done.until >= until:
                return False
            until = max(until, done.until)
        start = done.until if done is not None and kept else until - TTL
        with _quiet():
            self._store.materialize(_moment(start), _moment(until), feature_views=[CUSTOMERS])
        if not kept:
            self._forget_the_vanished(until)
        self._online.leave(Filled(names, until, self._mark(until), self._key_id))
        self._note(until)
        return True

    def _forget_the_vanished(self, until: int) -> None:
        snapshots = ds.dataset(self._places.snapshots(self._contract), format="parquet")
        known = pc.field("event_timestamp") <= pa.scalar(until, pa.timestamp("us", tz="UTC"))
        held = set(snapshots.to_table(columns=[JOIN_KEY], filter=known)[JOIN_KEY].unique().to_pylist())
        self._online.forget([customer for customer in self._online.customers() if customer not in held])

    def _note(self, until: int) -> None:
        """For who asks later which snapshots were online at a moment."""
        with (self._places.feast / "materialised.jsonl").open("a") as journal:
            journal.write(json.dumps({"at": time.time_ns() // 1000, "until": until}) + "\n")

    def training_set_feast(self, entity_df: pd.DataFrame) -> pd.DataFrame:
        """Feast's own point-in-time join, for thousands of rows: training takes `training_store`, of which this is the
        oracle in the tests.

        `entity_df`: event_id, customer_id (a pseudonym), event_timestamp (UTC). Returns its columns and the contract's
        features in contract order, one row per row given, in any order.
        """
        service = self._store.get_feature_service(service_name(self._contract))
        with _quiet():
            joined: pd.DataFrame = self._store.get_historical_features(
                entity_df, service, filter_by_created_timestamp=True
            ).to_df()
        if len(joined) != len(entity_df):
            raise Conflict(f"Feast joined {len(joined)} rows from {len(entity_df)}; are event ids unique?")
        named = joined[JOIN_KEY].notna().to_numpy()
        for feature in self._batch:
            joined[feature.name] = of_customers(feature, joined[feature.name].to_numpy(np.float64), named)
        return joined.loc[:, [*entity_df.columns, *self._contract.names]]

    def _registered(self) -> tuple[str, ...]:
        self._store.refresh_registry()
        view = next((view for view in self._store.list_feature_views() if view.name == CUSTOMERS), None)
        return () if view is None else tuple(field.name for field in view.features)

    def _mark(self, until: int) -> str:
        return digest(self._places.snapshots(self._contract), until)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One materialisation at a time: an older one that ends later would put older values over newer."""
        with (self._places.feast / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _settings(self, *, secret: bool) -> dict[str, Any]:
        """The content of a feature_store.yaml (feature_repo/feature_store.yaml says why)."""
        folder = self._places.feast
        return {
            "project": folder.name,
            "provider": "local",
            "registry": {
                "registry_type": "sql",
                "path": f"sqlite:///{folder / 'registry.db'}",
                "cache_ttl_seconds": 60,
            },
            "offline_store": {"type": "duckdb"},
            "online_store": self._online_settings(secret=secret),
            "entity_key_serialization_version": 3,
        }

    def _online_settings(self, *, secret: bool) -> dict[str, Any]:
        """Redis: corrected snapshots have the same time as those they replace, and would be skipped as duplicates."""
        if isinstance(self._address, FolderAddress):
            return {"type": "sqlite", "path": str(online_file(self._address, self._places))}
        return {
            "type": "redis",
            "connection_string": self._address.feast(secret=secret),
            "key_ttl_seconds": _KEPT // SECOND,
            "skip_dedup": True,
        }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Feast prints its progress, and a package below it calls what DuckDB has renamed."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
