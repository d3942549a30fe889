"""A release over a million past events, features given: model, rules, policy by columns, on one core.

    python -m benchmarks.backtest [--quick] [--json FILE] [--every N] [--home FOLDER]

The events are those of `benchmarks.decisions`, drawn until there are enough, each with its numbers moved a little, so
that no two are alike. Every hundredth row (`--every`), and every row that is not approved up to as many again, is then
decided once more as the live path decides it, one at a time: probability, score and action are compared to the bit.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from benchmarks.decision_ground import CONTRACT, MODULE, TENANT, Ground, dataset, prepared
from benchmarks.limits import held
from fradect.bulk import decide_many
from fradect.judgement import Loaded, judge, load
from fradect.past import Past
from fradect.types import Action, Event, Vector

EVENTS, QUICK_EVENTS = 1_000_000, 20_000
LIMITS = {"decisions_per_s": 60_000.0, "differences": 0.0}
GOALS = {"decisions_per_s": 150_000.0, "differences": 0.0}
CORE = 0
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Stretch:
    """Past events as columns, and their vectors in the same order."""

    events: pa.Table
    matrix: npt.NDArray[np.float64]


def stretch(ground: Ground, n: int) -> Stretch:
    """n events out of the history. Numbers that are no counts are stretched by up to a tenth."""
    known = dataset(ground.places)
    columns = [name for name in MODULE.columns if name not in MODULE.protected]
    log = pq.ParquetDataset(ground.places.events()).read(["event_id", "event_time", *columns])
    row_of = {event_id: i for i, event_id in enumerate(known.event_id.tolist())}
    rng = np.random.default_rng(5)
    drawn = rng.integers(0, log.num_rows, n)
    rows = np.array([row_of[event_id] for event_id in log["event_id"].to_pylist()])
    matrix = known.matrix[rows[drawn]]
    moved = [i for i, feature in enumerate(CONTRACT) if feature.unit in ("minor units", "ratio", "days", "km", "km/h")]
    matrix[:, moved] *= rng.uniform(0.9, 1.1, (n, len(moved)))
    return Stretch(log.drop_columns(["event_id"]).take(drawn), matrix)


def differences(release: Loaded, past: Stretch, found: Past, every: int) -> tuple[int, int]:
    """How many rows the live path decides otherwise, and how many were compared."""
    some = np.arange(0, found.action.size, every)
    stopped = np.flatnonzero(found.action > Action.APPROVE)[: some.size]
    rows = np.unique(np.concatenate([some, stopped]))
    fields = _plain(past.events.take(rows)).to_pylist()
    apart = 0
    for i, about, values in zip(rows.tolist(), fields, past.matrix[rows].tolist(), strict=True):
        event = Event("e", TENANT, MODULE.name, about["event_time"], about["event_time"], about)
        alone = judge(release, event, Vector(CONTRACT.names, tuple(values)), (), explain=False)
        apart += (alone.probability, alone.score, alone.action) != (
            found.probability[i],
            found.score[i],
            found.action[i],
        )
    return apart, rows.size


def _plain(events: pa.Table) -> pa.Table:
    """Times as microseconds, the way events carry them."""
    for i, field in enumerate(events.schema):
        if pa.types.is_timestamp(field.type):
            events = events.set_column(i, field.name, events[field.name].cast(pa.int64()))
    return events


def run(ground: Ground, n: int, every: int, console: Console) -> dict[str, float]:
    """The best of the rounds: others on this machine can only take time, not give it."""
    with console.status("drawing events"):
        past, release = stretch(ground, n), load(ground.release)
    os.sched_setaffinity(0, {CORE})
    taken = []
    for number in range(ROUNDS):
        with console.status(f"round {number + 1} of {ROUNDS}"):
            begun, worked = time.perf_counter(), time.process_time()
            found = decide_many(release, past.events, past.matrix)
            taken.append((time.perf_counter() - begun, time.process_time() - worked))
    with console.status("comparing with the live path"):
        apart, compared = differences(release, past, found, every)
    seconds, cpu = min(taken)
    counts = ", ".join(f"{int((found.action == action).sum()):,} {action.name}" for action in Action)
    console.print(f"{n:,} events in {seconds:.1f} s, {cpu:.1f} s of CPU: {counts}")
    console.print(f"{compared:,} compared with the live path, {apart:,} differ")
    return {"decisions_per_s": n / seconds, "differences": float(apart)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.backtest", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the events: shows that it runs, no more")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--every", type=int, default=100, help="which rows the live path decides too; 1: all")
    parser.add_argument("--home", type=Path, help="where the history is kept, to be used again; default: nowhere")
    asked = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="backtest-") as name:
        with console.status("simulating, importing, learning"):
            ground = prepared(asked.home or Path(name), quick=asked.quick)
        results = run(ground, QUICK_EVENTS if asked.quick else EVENTS, asked.every, console)
    if asked.json:
        asked.json.write_text(json.dumps(results))
    sys.exit(0 if asked.quick or held(results, LIMITS, console, at_least=["decisions_per_s"], goals=GOALS) else 1)


if __name__ == "__main__":
    main()
