# ruff: noqa: S608  every name in a statement comes from a module's declaration, every path from Places
"""Customer snapshots on disk: what a job at each midnight would have known, as the feature store reads them."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from fradect.adapters.duck import connect, files, quoted
from fradect.adapters.history_store import Built, feature_writer, made_from, origin_of
from fradect.adapters.places import Places, publishing, scratch
from fradect.adapters.pseudonyms import Pseudonyms
from fradect.features.contract import Contract, Kind
from fradect.features.snapshots import Sums, batch_features
from fradect.modules.declaration import Module
from fradect.types import DAY

_ROWS = 200_000


def build_snapshots(places: Places, module: Module, contract: Contract) -> Built | None:
    """One row per customer and midnight (UTC) before which something changed; None without batch features.

    Columns: customer_id (a pseudonym), event_timestamp (the midnight), created (the same: history is filled in as its
    jobs would have written it), and the contract's batch features as float64. Whatever became known on a day, be it an
    event or an outcome, shows from the next midnight on.
    """
    customer = module.entities.get("customer")
    if customer is None or not contract.of_kind(Kind.BATCH):
        return None
    target = places.snapshots(contract)
    pseudonyms = Pseudonyms(places)
    origin = origin_of(contract, places.events() + places.outcomes(), pseudonyms.key_id)
    if made_from(target) == origin:
        return Built(target, pq.read_metadata(target).num_rows, reused=True)
    with scratch(places.home) as folder, connect(folder) as duck, publishing(target) as staging:
        rows = _write(duck.execute(_sums(places, quoted(customer))), staging, _Form(contract, origin, pseudonyms))
    return Built(target, rows, reused=False)


class _Form(NamedTuple):
    """What is written, what its footer says, and what customers are called there."""

    contract: Contract
    origin: Mapping[bytes, bytes]
    pseudonyms: Pseudonyms


def _write(result: duckdb.DuckDBPyConnection, staging: Path, form: _Form) -> int:
    moment = pa.timestamp("us", tz="UTC")
    names = [feature.name for feature in form.contract.of_kind(Kind.BATCH)]
    keys = [("customer_id", pa.string()), ("event_timestamp", moment), ("created", moment)]
    schema = pa.schema([*keys, *((name, pa.float64()) for name in names)]).with_metadata(form.origin)
    rows = 0
    with feature_writer(staging, schema) as writer:
        for batch in result.to_arrow_reader(_ROWS):
            columns = batch_features(form.contract, Sums(*(batch[i].to_numpy() for i in range(2, 6))))
            midnight = batch["midnight"].cast(moment)  # from microseconds
            cells = [form.pseudonyms.column(batch["key"]), midnight, midnight, *(columns[name] for name in names)]
            writer.write_batch(pa.record_batch([pa.array(cell) for cell in cells], schema=schema))
            rows += batch.num_rows
    return rows


def _sums(places: Places, key: str) -> str:
    """Running sums by customer at each midnight that follows a change."""
    events = files(places.events())
    changes = f"SELECT {key} AS key, {_midnight_after('greatest(event_time, observed_at)')} AS midnight, "
    changes += f"1 AS orders, amount_base AS amount, 0 AS returned, 0 AS frauds FROM {events}"
    if places.outcomes():
        changes += f" UNION ALL SELECT e.{key}, {_midnight_after('o.known_at')}, 0, 0, "
        changes += "(o.kind = 'return')::INT, (o.kind = 'fraud')::INT "
        changes += f"FROM {files(places.outcomes())} o JOIN {events} e ON o.seq = e.seq WHERE o.value"
    columns = ("orders", "amount", "returned", "frauds")
    daily = ", ".join(f"sum({name}) AS {name}" for name in columns)
    running = ", ".join(f"(sum({name}) OVER days)::BIGINT AS {name}" for name in columns)
    return (
        f"SELECT key, midnight, {running} FROM (SELECT key, midnight, {daily} FROM ({changes}) "
        "WHERE key IS NOT NULL GROUP BY key, midnight) "
        "WINDOW days AS (PARTITION BY key ORDER BY midnight) ORDER BY midnight, key"
    )


def _midnight_after(moment: str) -> str:
    """In microseconds: calendar arithmetic on timestamps with a zone is twenty times slower."""
    return f"(epoch_us({moment}) // {DAY} + 1) * {DAY}"


def digest(path: Path, until: int) -> str:
    """Tells whether the rows of midnights up to `until` (microseconds) are still the same."""
    with connect(path.parent) as duck:
        held = f"SELECT count(*), bit_xor(hash(s)) FROM {files([str(path)])} s WHERE epoch_us(event_timestamp) <= ?"
        rows, mixed = duck.execute(held, [until]).fetchall()[0]
    return f"{rows}:{mixed}"
