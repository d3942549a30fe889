"""The features of one event, live and batch: ours, Feast's API for the same values, and the raw read of the bytes.

    python -m benchmarks.features [--quick] [--json FILE]

Simulated purchases with all six entities are brought into a log; the last ones are read for. Everything runs in this
process, on this machine's Redis (a server of the benchmark's own) and SQLite. Contenders take turns, round by round;
of a round the median counts, and of the rounds their median. The values are compared: who is fast but wrong stops it.
"""

import argparse
import json
import math
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from benchmarks.feature_peers import Case, RawRedis, RawSqlite, Read, feast_peer
from benchmarks.limits import held
from fradect.adapters.event_log import EventLog
from fradect.adapters.feast_store import FeastStore
from fradect.adapters.history_store import build_features
from fradect.adapters.importing import import_path
from fradect.adapters.online_snapshots import OnlineSnapshots
from fradect.adapters.places import Places
from fradect.adapters.pseudonyms import Pseudonyms
from fradect.adapters.replay_source import ReplaySource
from fradect.adapters.snapshot_store import build_snapshots
from fradect.adapters.state_parts import Rebuilt
from fradect.adapters.state_rebuild import rebuild
from fradect.adapters.state_scratch import scratch_state
from fradect.adapters.states import States, open_state
from fradect.adapters.training_store import training_set
from fradect.features.contract import Kind
from fradect.features.live import Reader
from fradect.features.replay import LivePath, replay
from fradect.mapping import load_mapping
from fradect.modules import contract_of, module_of
from fradect.settings import PROJECT
from fradect.simulate import Scenario, write
from fradect.types import DAY, Event, Vector

MODULE, CONTRACT, TENANT = module_of("ecommerce"), contract_of("ecommerce/standard"), "demo"
SCENARIO = Scenario(seed=5, start=date(2025, 3, 1), days=60, events=200_000, customers=10_000, merchants=400)
QUICK = Scenario(seed=5, start=date(2025, 3, 1), days=10, events=6_000, customers=1_000, merchants=60)
PROBES, ROUNDS = 300, 9
LIMITS = {"raw_ratio": 3.0, "feast_ratio": 0.5, "replay_per_s": 4_000.0, "rebuild_per_s": 50_000.0}
GOALS = {"raw_ratio": 2.0, "feast_ratio": 0.3, "replay_per_s": 10_000.0, "rebuild_per_s": 200_000.0}
AT_LEAST = ("replay_per_s", "rebuild_per_s")


@dataclass(frozen=True, slots=True)
class Ground:
    """A home with a log and its snapshots, all events in order of arrival, and those that are read for."""

    places: Places
    events: Sequence[Event]
    until: int

    @property
    def probes(self) -> list[Event]:
        """The last that name every entity, by number."""
        named = (e for e in reversed(self.events) if all(e.fields.get(MODULE.entities[n]) for n in CONTRACT.entities))
        return [event for event, _ in zip(named, range(PROBES), strict=False)][::-1]


def prepared(home: Path, scenario: Scenario) -> Ground:
    """Simulated, imported as `fradect import` does it, snapshots built."""
    write(scenario, home / "raw")
    import_path(home / "raw", load_mapping(PROJECT / "mappings" / "simulator.yaml"), home)
    places = Places(home, MODULE.name, TENANT)
    build_snapshots(places, MODULE, CONTRACT)
    events = list(_events(home))
    return Ground(places, events, max(e.event_time for e in events) // DAY * DAY)


def _events(home: Path) -> Iterator[Event]:
    columns = ["event_id", "event_time", "observed_at", *MODULE.columns]
    for batch in EventLog(home, MODULE.name, TENANT).scan(columns):
        plain = {field.name: _plain(batch[field.name]) for field in batch.schema}
        for row in pa.table(plain).to_pylist():
            yield Event(row.pop("event_id"), TENANT, MODULE.name, row.pop("event_time"), row.pop("observed_at"), row)


def _plain(column: pa.Array) -> pa.Array:
    """Times as microseconds, the way events carry them."""
    return column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A Redis of our own, gone at the end: its URL."""
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("redis-server is not on PATH; install it (Debian, Ubuntu: apt install redis-server)")
    port = free_port()
    options = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder))
    server = subprocess.Popen([program, "--port", str(port), *options], stdout=subprocess.DEVNULL)
    try:
        _await(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def _await(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise SystemExit("redis-server did not start")


@dataclass(frozen=True, slots=True)
class Live:
    """A live state with every event before the probes rebuilt from the log, and the probes arrived.

    `recorded`: microseconds of a probe's arrival, the median.
    """

    state: States
    reader: Reader
    seqs: Mapping[str, int]
    rebuilt: Rebuilt
    recorded: float


@contextmanager
def lived(url: str, ground: Ground) -> Iterator[Live]:
    """The live state that a service would have at this URL."""
    reader = Reader(MODULE, CONTRACT)
    seqs = {event.event_id: seq for seq, event in enumerate(ground.events, 1)}
    first = seqs[ground.probes[0].event_id]
    state = open_state(url)
    try:
        rebuilt = rebuild(state, TENANT, reader.layout, ground.places.log, until_seq=first - 1)
        taken = []
        for event in ground.events[first - 1 :]:
            begun = time.perf_counter_ns()
            state.arrive(event)
            taken.append(time.perf_counter_ns() - begun)
        yield Live(state, reader, seqs, rebuilt, statistics.median(taken) / 1000)
    finally:
        state.close()


def ours(url: str, ground: Ground, live: Live) -> Callable[[Event], Vector]:
    """What a decision does: the entities' bytes and the customer's snapshot read, the vector computed."""
    snapshots = OnlineSnapshots(url, ground.places, MODULE, CONTRACT, beside=url)

    def read(event: Event) -> Vector:
        errand = snapshots.errand(event)
        view = live.state.read(event, live.seqs[event.event_id], errand).view
        return live.reader.vector(event, view, snapshots.read(event) if errand is None else errand.snapshot())

    return read


def contest(url: str, ground: Ground, live: Live, folder: Path) -> dict[str, Read]:
    """Who reads from this store."""
    feast = FeastStore(ground.places, CONTRACT, url)
    feast.apply()
    feast.materialise(ground.until)
    project = ground.places.feast.name
    read = ours(url, ground, live)
    held = {(entity, key): held for entity, key, held in live.state.dump(TENANT, MODULE.name)}
    case = Case(
        MODULE, CONTRACT, ground.probes, [read(event) for event in ground.probes], held, Pseudonyms(ground.places).of
    )
    raw: RawRedis | RawSqlite
    if url.startswith("redis"):
        raw = RawRedis(case, url, project)
    else:
        raw = RawSqlite(case, folder, ground.places.feast / "online.db", project)
    peer = feast_peer(case, url, folder)
    _same_answers(case, peer)
    return {"ours": read, "feast": peer, "raw": raw.all}


def _same_answers(case: Case, peer: Callable[[Event], Mapping[str, Any]]) -> None:
    """Feast's answer is the vector's, where no later event of the same key has put another there."""
    asked = [f.name for f in CONTRACT if f.kind in (Kind.LIVE, Kind.BATCH)]
    event, vector = case.probes[-1], case.vectors[-1]
    ours, theirs = dict(zip(vector.names, vector.values, strict=True)), peer(event)
    apart = [name for name in asked if not _equal(ours[name], theirs[name][0])]
    if apart:
        raise SystemExit(f"Feast and ours disagree on {', '.join(apart)}")


def _equal(ours: float, theirs: float | None) -> bool:
    return math.isnan(ours) if theirs is None or math.isnan(theirs) else ours == theirs


def measured(readers: Mapping[str, Read], probes: Sequence[Event]) -> dict[str, float]:
    """Microseconds for one event: contenders in turns, the median of each round, and of those the median."""
    rounds: dict[str, list[float]] = {name: [] for name in readers}
    for number in range(ROUNDS + 1):
        for name, read in readers.items():
            median = _median(read, probes)
            if number:  # the first one warms up
                rounds[name].append(median)
    return {name: statistics.median(medians) for name, medians in rounds.items()}


def _median(read: Read, probes: Sequence[Event]) -> float:
    taken = []
    for event in probes:
        begun = time.perf_counter_ns()
        read(event)
        taken.append(time.perf_counter_ns() - begun)
    return statistics.median(taken) / 1000


@dataclass(frozen=True, slots=True)
class Found:
    """Microseconds of a read by store and contender, and of an arrival by store; events a second of the rest."""

    reads: Mapping[str, Mapping[str, float]]
    recorded: Mapping[str, float]
    replay_per_s: float
    rebuild_per_s: float


def run(scenario: Scenario, folder: Path, console: Console) -> Found:
    """Everything, store by store."""
    with console.status("simulating and importing"):
        ground = prepared(folder / "home", scenario)
    reads: dict[str, dict[str, float]] = {}
    recorded: dict[str, float] = {}
    rebuilds: dict[str, float] = {}
    with redis_server(folder) as url:
        for store, address in (("Redis", url), ("SQLite", f"sqlite:///{folder / 'live.db'}")):
            (folder / store).mkdir()
            with console.status(store), lived(address, ground) as live:
                online = url if store == "Redis" else f"sqlite:///{ground.places.home}"
                reads[store] = measured(contest(online, ground, live, folder / store), ground.probes)
                recorded[store], rebuilds[store] = live.recorded, live.rebuilt.events / live.rebuilt.seconds
    with console.status("replaying"):
        return Found(reads, recorded, replayed(ground), min(rebuilds.values()))


def replayed(ground: Ground) -> float:
    """Events a second of `fradect replay` on SQLite over the last quarter of the log, comparing every feature."""
    built = build_features(ground.places, MODULE, CONTRACT)
    training_set(ground.places, MODULE, CONTRACT)
    reader = Reader(MODULE, CONTRACT)
    source = ReplaySource(ground.places, MODULE, CONTRACT, reader.layout, TENANT)
    first, last = source.bounds()
    between = source.between(last - (last - first) // 4, last + 1)
    with scratch_state(ground.places.home, TENANT, MODULE.name) as used:
        rebuild(used.state, TENANT, reader.layout, ground.places.log, until_seq=between.first - 1)
        path = LivePath(used.state, reader, source.snapshots(), between.first - 1, used.together)
        begun = time.perf_counter()
        report = replay(path, source.stretch(between))
    if not report.equal or not built.rows:
        raise SystemExit(f"live differs from history: {report.figures}")
    return report.events / (time.perf_counter() - begun)


def figures(found: Found) -> dict[str, float]:
    """What the limits are about; against Feast and for rebuilds, the store where we are worse."""
    return {
        "raw_ratio": found.reads["Redis"]["ours"] / found.reads["Redis"]["raw"],
        "feast_ratio": max(one["ours"] / one["feast"] for one in found.reads.values()),
        "replay_per_s": found.replay_per_s,
        "rebuild_per_s": found.rebuild_per_s,
    }


def print_table(found: Found, console: Console) -> None:
    windows, snapshot = len(CONTRACT.windows), len(CONTRACT.of_kind(Kind.BATCH))
    table = Table(title=f"One event: {windows} windows of {len(CONTRACT.entities)} entities, {snapshot} of a snapshot")
    for heading in ("store", "who", "µs", "to raw", "to Feast"):
        table.add_column(heading, justify="left" if heading in ("store", "who") else "right")
    for store, one in found.reads.items():
        for name, micros in one.items():
            table.add_row(store, name, f"{micros:.0f}", *(f"{micros / one[to]:.2f} x" for to in ("raw", "feast")))
        table.add_row(store, "ours, an arrival", f"{found.recorded[store]:.0f}", "", "")
        table.add_section()
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.features", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the events: shows that it runs, no more")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    asked = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="features-") as folder:
        found = run(QUICK if asked.quick else SCENARIO, Path(folder), console)
    print_table(found, console)
    results = figures(found)
    if asked.json:
        asked.json.write_text(json.dumps(results))
    sys.exit(0 if asked.quick or held(results, LIMITS, console, at_least=AT_LEAST, goals=GOALS) else 1)


if __name__ == "__main__":
    main()
