"""A tenant that asks for twenty times its quota: what the others notice of it.

    python -m benchmarks.neighbours [--quick] [--json FILE] [--seconds N] [--rounds N] [--home FOLDER]

The production profile, server on core 0, as in `benchmarks.decisions`. One tenant sends purchases at a third of what
the service can take; in every other stretch another tenant, whose quota is 25 a second, sends 500. The first one's p99
with that neighbour, over the one without, is what counts: the median of the rounds.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

from rich.console import Console

from benchmarks.databases import postgres_server
from benchmarks.decision_ground import MODULE, Ground, prepared
from benchmarks.decision_peers import Contender, Stores, contenders
from benchmarks.decision_servers import OTHER_CORE, Serving
from benchmarks.features import redis_server
from benchmarks.limits import held
from benchmarks.load import Heard, Load, Wire, templates
from flows.wiring import key_file
from fradect.adapters.releases_folder import ReleasesFolder

NOISY, QUOTA, TIMES = "noisy", 25, 20
CONNECTIONS = 64
APART = 1_000_000  # between the numbers of requests of two stretches
LIMITS = {"neighbour_ratio": 1.2}


def with_neighbour(ground: Ground, stores: Stores) -> Contender:
    """The production profile, with a second tenant that the same release decides for, and that has a quota."""
    contender = contenders(["production"], ground, stores)["production"]
    assert contender.home is not None  # noqa: S101  a FRADECT has one
    ReleasesFolder(contender.home).promote(MODULE.name, NOISY, ground.release.id)
    quotas = {**contender.program.environment, "FRADECT_RATE_LIMIT_TENANTS": f"{NOISY}={QUOTA}/second"}
    return replace(contender, program=replace(contender.program, environment=quotas))


def noise(wire: Wire, rate: float, seconds: float, number: int, begun: Event) -> None:
    """Ask, whatever is answered: a process of its own, so that the other tenant's times are not its business."""
    os.sched_setaffinity(0, {OTHER_CORE})
    load = Load(wire, CONNECTIONS, number)
    begun.set()
    heard = load.open(rate, seconds, seed=7)
    load.close()
    if len(heard.refused) < 0.8 * rate * seconds:
        raise SystemExit(f"the neighbour was to be refused, and was {len(heard.refused)} times")


@contextlib.contextmanager
def beside(wire: Wire, seconds: float, number: int) -> Iterator[None]:
    """While the neighbour asks for twenty times its quota. `number`: of its first request."""
    processes = multiprocessing.get_context("spawn")
    begun = processes.Event()
    process = processes.Process(target=noise, args=(wire, TIMES * QUOTA, seconds + 2.0, number, begun))
    process.start()
    if not begun.wait(60.0):
        raise SystemExit("the neighbour did not begin")
    yield
    process.join()
    if process.exitcode:
        raise SystemExit("the neighbour was not refused")


def contest(quiet: Wire, noisy: Wire, seconds: float, rounds: int) -> tuple[list[Heard], list[Heard]]:
    """Stretches alone, and beside the neighbour, in turn."""
    first = Load(quiet, 16, 0)
    first.closed(2.0)
    rate = first.closed(min(seconds, 3.0)).per_second / 3
    first.close()
    alone, crowded = [], []
    for number in range(rounds):
        alone.append(_stretch(quiet, rate, seconds, 2 * number + 1))
        with beside(noisy, seconds, (100 + number) * APART):
            crowded.append(_stretch(quiet, rate, seconds, 2 * number + 2))
    return alone, crowded


def _stretch(wire: Wire, rate: float, seconds: float, number: int) -> Heard:
    """Over connections of its own: servers cut those that rest."""
    load = Load(wire, CONNECTIONS, number * APART)
    try:
        return load.open(rate, seconds, seed=number)
    finally:
        load.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.neighbours", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small and short: shows that it runs, no more")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--seconds", type=float, help="of a stretch; 8, with --quick 1")
    parser.add_argument("--rounds", type=int, help="5, with --quick 1")
    parser.add_argument("--home", type=Path, help="where the history is kept, to be used again; default: nowhere")
    asked = parser.parse_args()
    os.sched_setaffinity(0, {OTHER_CORE})  # and all that it starts, unless it is put elsewhere
    console = Console()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="neighbours-")))
        with console.status("simulating, importing, learning"):
            ground = prepared(asked.home or folder / "home", quick=asked.quick)
        stores = Stores(stack.enter_context(redis_server(folder)), stack.enter_context(postgres_server()), folder)
        contender = with_neighbour(ground, stores)
        stack.enter_context(Serving(contender.program, folder / "service.log"))
        rounds = asked.rounds or (1 if asked.quick else 5)
        alone, crowded = contest(
            contender.wire(contender.bodies), _wire(contender), asked.seconds or (1.0 if asked.quick else 8.0), rounds
        )
    found = {
        "alone_p99_ms": statistics.median(one.percentile(99) for one in alone),
        "crowded_p99_ms": statistics.median(one.percentile(99) for one in crowded),
        "neighbour_ratio": statistics.median(
            two.percentile(99) / one.percentile(99) for one, two in zip(alone, crowded, strict=True)
        ),
        "refused": float(sum(len(one.refused) + one.lost for one in (*alone, *crowded))),
    }
    for name, value in found.items():
        console.print(f"{name:>16} {value:,.2f}")
    if asked.json:
        asked.json.write_text(json.dumps(found))
    kept = held(found, LIMITS, console)
    sys.exit(0 if asked.quick or (kept and not found["refused"]) else 1)


def _wire(contender: Contender) -> Wire:
    assert contender.home is not None  # noqa: S101  see with_neighbour
    headers = {"X-API-Key": key_file(contender.home, NOISY).read_text().strip()}
    theirs = contender.wire(contender.bodies)
    return Wire(theirs.host, theirs.port, templates(contender.path, headers, contender.bodies), theirs.mark)


if __name__ == "__main__":
    main()
