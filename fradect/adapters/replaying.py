"""The replay gate over files: sampled events of the log, a live state made for them, history's published rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from fradect.adapters.state_rebuild import Part, rebuild
from fradect.adapters.state_sqlite import SqliteState
from fradect.errors import NotFound
from fradect.features.contract import Contract, Kind
from fradect.features.replay import HistoryRows, ReplayReport, Sampled, replay
from fradect.modules.declaration import FieldType, Module
from fradect.types import Event


@dataclass(frozen=True, slots=True)
class Replay:
    """What to replay: `log` is the folder with `events/` and `outcomes/`, `features` history's published file."""

    log: Path
    features: Path
    module: Module
    contract: Contract


def replay_log(what: Replay, count: int, seed: int) -> ReplayReport:
    """Replay `count` events, drawn from the whole log. Same seed, same events. NotFound when the log is empty."""
    sample = _sample(what, count, seed)
    first = min(sampled.event.event_time for sampled in sample)
    keys = {entity: _keys(sample, what.module.entities[entity]) for entity in what.contract.entities}
    state = SqliteState("", [what.module])  # "" is a private file that SQLite removes when it is closed
    try:
        part = Part(since=first - what.contract.horizon - 1, keys=keys)
        rebuild(state, sample[0].event.tenant_id, what.module, what.log, part)

        def view(event: Event, seq: int) -> Any:
            return state.read(event, what.contract, seq)

        return replay(what.module, what.contract, sample, view, _history(what, sample))
    finally:
        state.close()


def _sample(what: Replay, count: int, seed: int) -> list[Sampled]:
    files = sorted(str(path) for path in (what.log / "events").glob("[!.]*.parquet"))
    if not files:
        raise NotFound(f"no events under {what.log}: import some first")
    events = ds.dataset(files, format="parquet")
    total = events.count_rows()
    chosen = np.random.default_rng(seed).choice(total, min(count, total), replace=False)
    return [_sampled(what.module, row) for row in events.take(pa.array(np.sort(chosen))).to_pylist()]


def _sampled(module: Module, row: dict[str, Any]) -> Sampled:
    fields = {name: _value(kind, row[name]) for name, kind in module.columns.items()}
    times = {name: _micros(row[name]) for name in ("event_time", "observed_at")}
    event = Event(row["event_id"], row["tenant_id"], row["module"], fields=fields, **times)
    return Sampled(row["seq"], event)


def _value(kind: FieldType, value: Any) -> Any:
    return _micros(value) if kind is FieldType.TIME and value is not None else value


def _micros(moment: Any) -> int:
    return int(pa.scalar(moment, pa.timestamp("us", "UTC")).value)


def _keys(sample: Sequence[Sampled], field: str) -> list[str]:
    return sorted({str(s.event.fields[field]) for s in sample if s.event.fields.get(field) is not None})


def _history(what: Replay, sample: Sequence[Sampled]) -> HistoryRows:
    names = tuple(f.name for f in what.contract if f.kind is not Kind.BATCH)
    seqs = pa.array([sampled.seq for sampled in sample], pa.int64())
    rows = ds.dataset(str(what.features)).to_table(columns=["event_id", *names], filter=pc.field("seq").isin(seqs))
    matrix = np.column_stack([rows[name].to_numpy() for name in names])
    return HistoryRows(names, dict(zip(rows["event_id"].to_pylist(), matrix, strict=True)))
