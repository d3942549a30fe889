"""More than can be decided: who is let in is answered in time, who is not is told at once, and nothing is lost.

    python -m benchmarks.overload [--quick] [--json FILE] [--seconds N] [--home FOLDER]

The production profile, server on core 0, as in `benchmarks.decisions`. First what it can take: a closed loop; then half
of that as calm traffic. Then five times as many requests a second as it can take, whatever it answers, and calm traffic
again, second by second until it is as it was. At the end every decision that was answered is looked up in the ledger.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import psycopg
from rich.console import Console

from benchmarks.databases import postgres_server
from benchmarks.decision_ground import prepared
from benchmarks.decision_peers import Stores, contenders
from benchmarks.decision_servers import OTHER_CORE, Serving
from benchmarks.features import redis_server
from benchmarks.limits import held
from benchmarks.load import Heard, Load

TIMES, CONNECTIONS, MANY_CONNECTIONS = 5, 16, 512
MOST_CALM_SECONDS, AS_BEFORE = 30, 1.5
LIMITS = {
    "accepted_p99_ms": 300.0,
    "refused_p99_ms": 50.0,
    "recovered_s": 10.0,
    "lost": 0.0,
    "unhelpful": 0.0,
    "unanswered": 0.0,
}


def contest(load: Load, seconds: float, console: Console) -> tuple[dict[str, float], list[Heard]]:
    """The figures, and everything that was heard."""
    load.closed(2.0)
    most = load.closed(min(seconds, 5.0))
    load.widen(MANY_CONNECTIONS)
    calm = load.open(most.per_second / 2, min(seconds, 5.0), seed=1)
    console.print(f"it takes {most.per_second:,.0f} a second; at half of that p99 is {calm.percentile(99):.1f} ms")
    storm = load.open(TIMES * most.per_second, seconds, seed=2)
    again, recovered = _calmed(load, most.per_second / 2, calm.percentile(99))
    asked = len(storm.latencies) + len(storm.refused) + storm.lost
    found = {
        "capacity_per_s": most.per_second,
        "asked_per_s": asked / storm.seconds,
        "accepted_per_s": storm.per_second,
        "accepted_p50_ms": storm.percentile(50),
        "accepted_p99_ms": storm.percentile(99),
        "refused_p50_ms": _milliseconds(storm.refusals, 50),
        "refused_p99_ms": _milliseconds(storm.refusals, 99),
        "unhelpful": float(storm.unhelpful),
        "unanswered": float(storm.lost),
        "recovered_s": recovered,
    }
    return found, [most, calm, storm, *again]


def _calmed(load: Load, rate: float, p99: float) -> tuple[list[Heard], float]:
    """Calm traffic until a second of it is as before; how many seconds that took."""
    heard: list[Heard] = []
    for second in range(MOST_CALM_SECONDS):
        heard.append(load.open(rate, 1.0, seed=3 + second))
        if not heard[-1].refused and heard[-1].percentile(99) <= AS_BEFORE * p99:
            return heard, float(second)
    return heard, float("inf")


def _milliseconds(seconds: Sequence[float], percent: float) -> float:
    return float(np.percentile(seconds, percent)) * 1000 if seconds else 0.0


def not_in_ledger(dsn: str, heard: Sequence[Heard]) -> int:
    """Of the decisions that were answered, how many the ledger does not hold."""
    told = {msgspec.json.decode(body)["decision_id"] for one in heard for body in one.bodies}
    with psycopg.connect(dsn) as connection:
        kept = {row[0] for row in connection.execute("SELECT id FROM risk_decisions")}
    return len(told - kept)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.overload", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small and short: shows that it runs, no more")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--seconds", type=float, help="of the overload; 60, with --quick 2")
    parser.add_argument("--home", type=Path, help="where the history is kept, to be used again; default: nowhere")
    asked = parser.parse_args()
    os.sched_setaffinity(0, {OTHER_CORE})  # and all that it starts, unless it is put elsewhere
    console = Console()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="overload-")))
        with console.status("simulating, importing, learning"):
            ground = prepared(asked.home or folder / "home", quick=asked.quick)
        stores = Stores(stack.enter_context(redis_server(folder)), stack.enter_context(postgres_server()), folder)
        contender = contenders(["production"], ground, stores)["production"]
        stack.enter_context(Serving(contender.program, folder / "service.log"))
        load = Load(contender.wire(contender.bodies), CONNECTIONS, 0)
        stack.callback(load.close)
        found, heard = contest(load, asked.seconds or (2.0 if asked.quick else 60.0), console)
        found["lost"] = float(not_in_ledger(stores.dsn, heard))
    for name, value in found.items():
        console.print(f"{name:>16} {value:,.1f}")
    if asked.json:
        asked.json.write_text(json.dumps(found))
    kept = held(found, LIMITS, console)
    sys.exit(0 if asked.quick or kept else 1)


if __name__ == "__main__":
    main()
