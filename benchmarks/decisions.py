"""A decision over HTTP: FRADECT whole, what a team would glue together, `mlflow models serve`, and the floor.

    python -m benchmarks.decisions [--quick] [--json FILE] [--only NAME ...] [--seconds N] [--rounds N]

Every contender serves the same model to the same requests: purchases of more than 10,000 customers, one in eight of
somebody unknown, a new transaction id each. The server has core 0; the generator, Redis and PostgreSQL (servers of the
benchmark's own, fsync on) share core 1. First a closed loop of 16 connections, then requests at random moments, half
as many a second as the contender managed before, timed from the moment they were due. Contenders take turns, and of
the rounds the median counts. A run in which core 1 was more than 90 % busy is void. Every answer is read afterwards.
"""

import argparse
import contextlib
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.databases import postgres_server
from benchmarks.decision_ground import MODULE, TENANT, Ground, prepared
from benchmarks.decision_peers import FACTORS, FRADECT, PEERS, SHADOW, Contender, Stores, bodies, contenders, profiled
from benchmarks.decision_servers import OTHER_CORE, SERVER_CORE, Core, Serving
from benchmarks.features import redis_server
from benchmarks.limits import held
from benchmarks.load import Heard, Load, Wire
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.rollout import Step, rolled_back, shadowed

CONNECTIONS, OPEN_CONNECTIONS = 16, 64
NOTICED_SECONDS, LOADED_SECONDS = 1.0, 6.0  # until a server has let go of a challenger, and until it has loaded one
TOO_BUSY = 0.9
WIDTH = 124
NAMES = (*(name for one in FRADECT for name in (one, one + FACTORS)), "production" + SHADOW, *PEERS)
LIMITS = {
    "glue_ratio": 8.0,
    "decent_cpu_ratio": 0.4,
    "factors_ratio": 2.0,
    "cpu_us": 600.0,
    "p99_ratio": 1.5,
    "shadow_ratio": 1.1,
}
GOALS = {
    "glue_ratio": 20.0,
    "decent_cpu_ratio": 0.15,
    "factors_ratio": 10.0,
    "cpu_us": 250.0,
    "p99_ratio": 1.1,
    "shadow_ratio": 1.0,
}
AT_LEAST = ("glue_ratio", "factors_ratio")


@dataclass(frozen=True, slots=True)
class Measured:
    """One stretch of one contender. `cpu_us`: processor time of all its processes, by request.

    `generator_core`, `beside`: shares of time in which the generator's core was busy, and the server's with others.
    `degraded`: share of the answers that were made without a part. `refused`: share of the requests without a 200.
    """

    per_second: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    generator_core: float
    beside: float
    degraded: float
    refused: float

    @property
    def void(self) -> bool:
        return self.generator_core > TOO_BUSY


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, how often, and for whom."""

    names: Sequence[str]
    seconds: float
    rounds: int

    @property
    def warm_up(self) -> float:
        return min(self.seconds / 3, 2.0)


class Contest:
    """Contenders that run, each with a connection count of its own for either kind of load."""

    def __init__(self, plan: Plan, ground: Ground, running: Mapping[str, tuple[Contender, Serving]]) -> None:
        self._plan = plan
        self._running = running
        asked = {True: bodies(ground, factors=True), False: bodies(ground, factors=False)}
        self._wires = {name: self._wire(name, asked) for name in plan.names}
        self._number = 0

    def _wire(self, name: str, asked: Mapping[bool, Sequence[bytes]]) -> Wire:
        contender = self._running[server_of(name)][0]
        return contender.wire(asked[True] if name.endswith(FACTORS) else contender.bodies)

    def closed(self, name: str) -> Measured:
        return self._stretch(name, CONNECTIONS, lambda load: load.closed(self._plan.seconds))

    def open(self, name: str, rate: float, seed: int) -> Measured:
        return self._stretch(name, OPEN_CONNECTIONS, lambda load: load.open(rate, self._plan.seconds, seed))

    def _stretch(self, name: str, connections: int, run: Callable[[Load], Heard]) -> Measured:
        """Warmed up, run, its answers read. SystemExit when one says nothing."""
        contender, serving = self._running[server_of(name)]
        load = Load(self._wires[name], CONNECTIONS, self._number)
        if contender.home is not None:
            try_beside(contender.home, tried=name.endswith(SHADOW))
            time.sleep(LOADED_SECONDS if name.endswith(SHADOW) else NOTICED_SECONDS)
        try:
            load.closed(self._plan.warm_up)
            load.widen(connections)
            used, cores = serving.cpu_seconds(), _cores()
            begun = time.perf_counter()
            heard = run(load)
            if not heard.bodies:
                raise SystemExit(f"{name} answers nothing: {(heard.refused or [b'no answer'])[0][:300]!r}")
            seconds = time.perf_counter() - begun
            used, after = serving.cpu_seconds() - used, _cores()
        finally:
            self._number = load.number
            load.close()
        return Measured(
            per_second=heard.per_second,
            cpu_us=used / len(heard.bodies) * 1e6,
            p50_ms=heard.percentile(50),
            p99_ms=heard.percentile(99),
            generator_core=after[OTHER_CORE].since(cores[OTHER_CORE]),
            beside=max(after[SERVER_CORE].since(cores[SERVER_CORE]) - used / seconds, 0.0),
            degraded=_degraded(name, heard.bodies),
            refused=(len(heard.refused) + heard.lost) / (len(heard.bodies) + len(heard.refused) + heard.lost),
        )


def _cores() -> dict[int, Core]:
    return {number: Core.now(number) for number in (SERVER_CORE, OTHER_CORE)}


def _degraded(name: str, answers: Sequence[bytes]) -> float:
    """Every answer holds a score; the share of those that were made without a part."""
    degraded = 0
    for body in answers:
        answer = msgspec.json.decode(body)
        score = answer["predictions"][0] if name == "mlflow" else answer["score"]
        if not 0 <= score <= 1000:
            raise SystemExit(f"{name} answered {body[:300].decode(errors='replace')}")
        degraded += bool(answer.get("degraded"))
    return degraded / len(answers)


Runs = dict[str, list[Measured]]


def run(plan: Plan, ground: Ground, folder: Path, console: Console) -> tuple[Runs, Runs]:
    """Closed and open loop, by contender."""
    with contextlib.ExitStack() as stack:
        stores = Stores(stack.enter_context(redis_server(folder)), stack.enter_context(postgres_server()), folder)
        wanted = set(map(server_of, plan.names))
        servers = [name for name in (*FRADECT, *PEERS) if name in wanted]
        with console.status("filling the stores"):
            made = contenders(servers, ground, stores)
        running = {}
        for name, contender in made.items():
            with console.status(f"starting {name}"):
                serving = stack.enter_context(Serving(contender.program, folder / f"{name}.log"))
                running[name] = (contender, serving)
        contest = Contest(plan, ground, running)
        closed = _in_turn(plan, "closed loop", contest.closed, console)
        rates = {name: middle(runs).per_second / 2 for name, runs in closed.items()}
        if "production" in rates and "production" + SHADOW in rates:
            rates["production" + SHADOW] = rates["production"]  # what it costs beside the same traffic
        seeds = itertools.count(1)
        opened = _in_turn(plan, "open loop", lambda name: contest.open(name, rates[name], next(seeds)), console)
        return closed, opened


def profile(name: str, plan: Plan, ground: Ground, folder: Path, console: Console) -> None:
    """One closed loop under a profiler; `--only NAME+factors` for the request with factors."""
    report = folder / "profile.txt"
    asked = name + FACTORS if plan.names == [name + FACTORS] else name
    with redis_server(folder) as redis_url, postgres_server() as dsn:
        contender = profiled(contenders([name], ground, Stores(redis_url, dsn, folder))[name], report)
        with Serving(contender.program, folder / f"{name}.log") as serving:
            contest = Contest(replace(plan, names=[asked]), ground, {name: (contender, serving)})
            one = contest.closed(asked)
            ours = [line for line in serving.text("/metrics").splitlines() if line.startswith("fradect_")]
    print(report.read_text(), *(line for line in ours if "_bucket" not in line), sep="\n")
    console.print(f"{asked}: {one.per_second:,.0f} a second, {one.cpu_us:,.0f} µs of CPU each, under the profiler")


def server_of(name: str) -> str:
    return name.removesuffix(FACTORS).removesuffix(SHADOW)


def try_beside(home: Path, *, tried: bool) -> None:
    """Have a challenger tried in the shadow of the champion, or none: the champion with another threshold."""
    store, step = ReleasesFolder(home), Step("tried", "the benchmark", "", time.time_ns() // 1000)
    now = store.rollout(MODULE.name, TENANT)
    assert now is not None  # noqa: S101  prepared() promoted one
    if tried and now.challenger is None:
        champion = store.load(now.release)
        other = replace(champion, policy=replace(champion.policy, review=champion.policy.review + 1))
        store.save(other)
        store.move(MODULE.name, TENANT, shadowed(now, other.id, step))
    elif not tried and now.challenger is not None:
        store.move(MODULE.name, TENANT, rolled_back(now, step))


def _in_turn(plan: Plan, kind: str, stretch: Callable[[str], Measured], console: Console) -> Runs:
    """Round by round; a void run is tried again once."""
    found: Runs = {name: [] for name in plan.names}
    for number in range(plan.rounds):
        for name in plan.names:
            with console.status(f"{kind}, round {number + 1} of {plan.rounds}: {name}"):
                found[name].append(stretch(name))
                if found[name][-1].void:
                    found[name].append(stretch(name))
    return found


def middle(runs: Sequence[Measured]) -> Measured:
    """The median of each figure over the runs that count; over all where none does."""
    counted = [one for one in runs if not one.void] or list(runs)
    rows = [asdict(one) for one in counted]
    return Measured(**{name: statistics.median(row[name] for row in rows) for name in rows[0]})


def figures(closed: Runs, opened: Runs) -> dict[str, float]:
    """What the limits are about, as far as the contenders that they compare were there."""
    at = {name: middle(runs) for name, runs in closed.items()}
    half = {name: middle(runs) for name, runs in opened.items()}
    ours, factors = "production", "production" + FACTORS
    found: dict[str, float] = {}
    if {ours, "glue"} <= at.keys():
        found["glue_ratio"] = at[ours].per_second / at["glue"].per_second
    if {ours, "decent"} <= at.keys():
        found["decent_cpu_ratio"] = at[ours].cpu_us / at["decent"].cpu_us
    if {factors, "glue"} <= at.keys():
        found["factors_ratio"] = at[factors].per_second / at["glue"].per_second
    if ours in at:
        found |= {"cpu_us": at[ours].cpu_us, "p99_ms": half[ours].p99_ms}
    if {ours, ours + SHADOW} <= at.keys():
        found["shadow_ratio"] = half[ours + SHADOW].p99_ms / half[ours].p99_ms
    if {ours, "floor"} <= at.keys():
        found["floor_ratio"] = at[ours].per_second / at["floor"].per_second
        found["p99_ratio"] = half[ours].p99_ms / half["floor"].p99_ms
    return found


def print_table(closed: Runs, opened: Runs, console: Console) -> None:
    table = Table(title=f"Decisions on one core: {CONNECTIONS} connections, then half as many a second (times in ms)")
    headings = (
        "who",
        "per s",
        "CPU µs",
        "p50",
        "p99",
        "½ p50",
        "½ p99",
        "load core",
        "beside",
        "degraded",
        "refused",
        "void",
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "who" else "right")
    for name, runs in closed.items():
        one, half = middle(runs), middle(opened[name])
        times = (f"{value:.1f}" for value in (one.p50_ms, one.p99_ms, half.p50_ms, half.p99_ms))
        worst = max(one.degraded, half.degraded), max(each.refused for each in (*runs, *opened[name]))
        shares = (f"{value:.0%}" for value in (one.generator_core, one.beside, *worst))
        void = sum(each.void for each in (*runs, *opened[name]))
        table.add_row(name, f"{one.per_second:,.0f}", f"{one.cpu_us:,.0f}", *times, *shares, str(void))
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.decisions", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small and short: shows that it runs, no more")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--seconds", type=float, help="of a run; 8, with --quick 1")
    parser.add_argument("--rounds", type=int, help="runs of each; 3, with --quick 1")
    parser.add_argument("--profile", choices=FRADECT, help="no contest: where the time of one FRADECT goes")
    parser.add_argument("--home", type=Path, help="where the history is kept, to be used again; default: nowhere")
    asked = parser.parse_args()
    plan = Plan(asked.only, asked.seconds or (1.0 if asked.quick else 8.0), asked.rounds or (1 if asked.quick else 3))
    os.sched_setaffinity(0, {OTHER_CORE})  # and all that it starts, unless it is put elsewhere
    console = Console(width=max(Console().width, WIDTH))
    with tempfile.TemporaryDirectory(prefix="decisions-") as name:
        folder = Path(name)
        with console.status("simulating, importing, learning"):
            ground = prepared(asked.home or folder / "home", quick=asked.quick)
        if asked.profile:
            profile(asked.profile, plan, ground, folder, console)
            return
        closed, opened = run(plan, ground, folder, console)
    print_table(closed, opened, console)
    results = figures(closed, opened)
    if asked.json:
        asked.json.write_text(json.dumps(results))
    runs = {name: [*closed[name], *opened[name]] for name in plan.names}
    sys.exit(0 if asked.quick or tuple(plan.names) != NAMES else _judge(results, runs, console))


def _judge(results: Mapping[str, float], runs: Runs, console: Console) -> int:
    kept = held(results, LIMITS, console, at_least=AT_LEAST, goals=GOALS)
    void = [name for name, each in runs.items() if all(one.void for one in each)]
    if void:
        console.print(f"no run counts, the generator's core was too busy: {', '.join(void)}")
    refused = [name for name, each in runs.items() if any(one.refused for one in each)]
    if refused:
        console.print(f"not every request was answered: {', '.join(refused)}")
    return 0 if kept and not void and not refused else 1


if __name__ == "__main__":
    main()
