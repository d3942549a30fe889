# ruff: noqa: S608  every name in a statement is written in this file
"""Window features over history: ours, the Parquet scan as the floor, pandas and DuckDB as peers.

    python -m benchmarks.windows [--quick] [--json FILE]

Everyone gets the same log (events in Parquet, in order of time) and leaves the same features on disk in Parquet:
count, sum and mean of the amount over 1 hour, 24 hours, 7 and 30 days, for two entities. Every measurement runs in
a child process of its own, from the first byte read to the last one written; imports are not counted, and of three
short runs the middle one counts. The answers are compared: who is fast but wrong stops the benchmark.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from benchmarks.limits import held
from fradect.adapters.history_store import build_features
from fradect.adapters.places import Places
from fradect.features.contract import Aggregate, Contract, Feature, Kind, Window
from fradect.modules import module_of
from fradect.types import DAY, HOUR

SPANS = {"1h": HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
ENTITIES = {"customer": "customer_id", "merchant": "merchant_id"}
START, DAYS = 1_514_764_800_000_000, 180
SIZES = (1_000_000, 5_000_000, 20_000_000)
PEERS_UP_TO = 5_000_000
LIMITS = {"pandas_ratio_5m": 5.0, "exponent": 1.1, "peak_gb_20m": 4.0}


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: seconds by the clock and of processors, peak memory in GB (10^9 bytes), sums of what it left on disk."""

    seconds: float
    cpu_seconds: float
    peak_gb: float
    sums: Mapping[str, float]


def contract() -> Contract:
    """The features that everyone computes, as a contract."""
    features = [
        Feature(f"{entity}_{aggregate}_{span}", Kind.LIVE, "", "", Window(entity, aggregate, length, of))
        for entity in ENTITIES
        for aggregate, of in ((Aggregate.COUNT, None), (Aggregate.SUM, "amount_base"), (Aggregate.MEAN, "amount_base"))
        for span, length in SPANS.items()
    ]
    return Contract("benchmark/windows", "ecommerce", tuple(features), ())


def write_log(home: Path, events: int) -> None:
    """A log of 180 days in which a customer buys twice a day and a merchant sells four times; times are distinct."""
    folder = Places(home, "ecommerce", "default").log / "events"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(events)
    for number, first in enumerate(range(0, events, 1_000_000)):
        n = min(1_000_000, events - first)
        seq = np.arange(first + 1, first + n + 1)
        moment = pa.array(START + seq * (DAYS * DAY // (events + 1))).cast(pa.timestamp("us", tz="UTC"))
        columns = {
            "seq": seq,
            "event_id": _names("e", seq),
            "tenant_id": np.full(n, "default"),
            "module": np.full(n, "ecommerce"),
            "event_time": moment,
            "observed_at": moment,
            "customer_id": _names("c", rng.integers(0, max(events // 350, 1), n)),
            "merchant_id": _names("m", rng.integers(0, max(events // 700, 1), n)),
            "amount_base": rng.integers(1, 100_000, n),
        }
        pq.write_table(pa.table(columns), folder / f"part-{number:05d}.parquet", compression="zstd")


def _names(kind: str, numbers: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pa.Array:
    return pa.array(np.char.add(kind, numbers.astype(np.str_)))


def ours(home: Path) -> Path:
    """What `fradect` runs over history."""
    return build_features(Places(home, "ecommerce", "default"), module_of("ecommerce"), contract()).path


def scan(home: Path) -> None:
    """The floor: every column that the others need, decoded and looked at."""
    duckdb.sql(
        f"SELECT max(seq), max(event_time), max(customer_id), max(merchant_id), sum(amount_base) FROM {_log(home)}"
    ).fetchall()


def with_pandas(home: Path) -> Path:
    """Sorted once for each entity; time windows by groupby and rolling, the mean out of sum and count."""
    columns = ["seq", "event_time", "amount_base", *ENTITIES.values()]
    frame = pd.read_parquet(Places(home, "ecommerce", "default").log / "events", columns=columns)
    features = {"seq": frame["seq"]}
    for entity, field in ENTITIES.items():
        keyed = frame[["event_time", "amount_base"]].assign(key=frame[field].astype("category").cat.codes)
        keyed = keyed.sort_values(["key", "event_time"])
        row = keyed.index
        grouped = keyed.set_index("event_time").groupby("key", sort=False)["amount_base"]
        for span in SPANS:
            rolled = grouped.rolling(span)
            count, total = (pd.Series(answer.to_numpy(), row) for answer in (rolled.count(), rolled.sum()))
            features[f"{entity}_count_{span}"] = count
            features[f"{entity}_sum_{span}"] = total
            features[f"{entity}_mean_{span}"] = total / count
    target = home / "pandas.parquet"
    pd.DataFrame(features).to_parquet(target, compression="zstd", index=False)
    return target


def with_duckdb(home: Path) -> Path:
    """Window functions with RANGE frames, spilling to disk beyond 4 GB."""
    columns, frames = [], []
    for entity, field in ENTITIES.items():
        for span, length in SPANS.items():
            frame = f"{entity}_{span}"
            frames.append(
                f"{frame} AS (PARTITION BY {field} ORDER BY t RANGE BETWEEN {length - 1} PRECEDING AND CURRENT ROW)"
            )
            columns.append(f"count(*) OVER {frame} AS {entity}_count_{span}")
            columns.append(f"sum(amount_base) OVER {frame} AS {entity}_sum_{span}")
            columns.append(f"avg(amount_base) OVER {frame} AS {entity}_mean_{span}")
    target = home / "duckdb.parquet"
    with duckdb.connect(config={"memory_limit": "4GB", "temp_directory": str(home / "duckdb")}) as duck:
        duck.execute(
            f"COPY (SELECT seq, {', '.join(columns)} FROM (SELECT *, epoch_us(event_time) AS t FROM {_log(home)}) "
            f"WINDOW {', '.join(frames)}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
        )
    return target


def _log(home: Path) -> str:
    return f"read_parquet('{Places(home, 'ecommerce', 'default').log}/events/*.parquet')"


CONTENDERS: Mapping[str, Callable[[Path], Path | None]] = {
    "scan": scan,
    "ours": ours,
    "pandas": with_pandas,
    "duckdb": with_duckdb,
}


def measure(contender: str, home: Path) -> Measured:
    """In this process: run once, take the time and the peak, then read the answers back."""
    begun, worked = time.perf_counter(), time.process_time()
    written = CONTENDERS[contender](home)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    if written is None:
        return Measured(seconds, cpu, peak, {})
    names = contract().names
    summed = ", ".join(f"sum({name})" for name in names)
    found = duckdb.sql(f"SELECT {summed} FROM '{written}'").fetchone() or ()
    written.unlink()
    return Measured(seconds, cpu, peak, {name: float(value) for name, value in zip(names, found, strict=True)})


def measured_apart(contender: str, home: Path) -> Measured:
    """In a fresh process, whose peak memory is its own."""
    command = [sys.executable, "-m", "benchmarks.windows", "--measure", contender, "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{contender} failed:\n{done.stderr}")
    return Measured(**json.loads(done.stdout))


def run(sizes: tuple[int, ...], folder: Path, console: Console) -> dict[tuple[str, int], Measured]:
    found: dict[tuple[str, int], Measured] = {}
    for events in sizes:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            with console.status(f"{events:,} events: writing the log"):
                write_log(Path(name), events)
            for contender in CONTENDERS:
                if contender in ("pandas", "duckdb") and events > PEERS_UP_TO:
                    continue
                with console.status(f"{events:,} events: {contender}"):
                    found[contender, events] = _middle(contender, Path(name), 3 if _is_short(contender, events) else 1)
                _same_answers(found[contender, events], found.get(("ours", events)), contender)
    return found


def _is_short(contender: str, events: int) -> bool:
    return contender in ("scan", "ours") and events <= PEERS_UP_TO


def _middle(contender: str, home: Path, times: int) -> Measured:
    """The run of the middle time: short ones are noisy."""
    runs = [measured_apart(contender, home) for _ in range(times)]
    return sorted(runs, key=lambda one: one.seconds)[times // 2]


def _same_answers(theirs: Measured, ours: Measured | None, contender: str) -> None:
    if ours is None or not theirs.sums:
        return
    apart = [n for n, value in theirs.sums.items() if not math.isclose(value, ours.sums[n], rel_tol=1e-9)]
    if apart:
        raise SystemExit(f"{contender} and ours disagree on {', '.join(apart)}")


def exponent(found: Mapping[tuple[str, int], Measured], contender: str) -> float:
    """How time grows with events: the slope between the smallest and the largest size, both in logarithms."""
    sizes = sorted(events for name, events in found if name == contender)
    if len(sizes) < 2:
        return math.nan
    first, last = found[contender, sizes[0]], found[contender, sizes[-1]]
    return math.log(last.seconds / first.seconds) / math.log(sizes[-1] / sizes[0])


def figures(found: Mapping[tuple[str, int], Measured]) -> dict[str, float]:
    """What the limits are about, by the largest sizes that were measured."""
    largest = max(events for _, events in found)
    compared = max(events for name, events in found if name == "pandas")
    return {
        "pandas_ratio_5m": found["pandas", compared].seconds / found["ours", compared].seconds,
        "exponent": exponent(found, "ours"),
        "peak_gb_20m": found["ours", largest].peak_gb,
    }


def print_table(found: Mapping[tuple[str, int], Measured], console: Console) -> None:
    table = Table(title="24 window features, two entities: from Parquet to Parquet")
    for heading in ("events", "who", "seconds", "CPU s", "1000/s", "peak GB", "to ours", "grows n^"):
        table.add_column(heading, justify="left" if heading == "who" else "right")
    for events in sorted({events for _, events in found}):
        for name in CONTENDERS:
            if (name, events) in found:
                one = found[name, events]
                against = f"{one.seconds / found['ours', events].seconds:.2f} x"
                timed = f"{one.seconds:.1f}", f"{one.cpu_seconds:.1f}", f"{events / one.seconds / 1000:,.0f}"
                growth = f"{exponent(found, name):.2f}"
                table.add_row(f"{events:,}", name, *timed, f"{one.peak_gb:.2f}", against, growth)
        table.add_section()
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.windows", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a twentieth of the sizes: shows that it runs, no more")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--events", type=int, nargs="+", default=SIZES, help="other sizes")
    parser.add_argument("--measure", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(asdict(measure(asked.measure, asked.home))))
        return
    sizes = tuple(events // 20 for events in asked.events) if asked.quick else tuple(asked.events)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="windows-") as folder:
        found = run(sizes, Path(folder), console)
    print_table(found, console)
    results = figures(found)
    if asked.json:
        asked.json.write_text(json.dumps(results))
    sys.exit(0 if sizes != SIZES or held(results, LIMITS, console, at_least=["pandas_ratio_5m"]) else 1)


if __name__ == "__main__":
    main()
