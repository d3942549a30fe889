"""The ledger alone: what a commit costs in groups of 1, 4, 16 and 64, and how fast its chains are verified.

    python -m benchmarks.ledger [--rows N] [--json FILE]

On SQLite and on a PostgreSQL of the benchmark's own (fsync on), rows as wide as a purchase's with 30 features and six
factors. The peer is what a commit of one decision costs in the same run. The median of three counts.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from msgspec.structs import replace
from rich.console import Console

from benchmarks.databases import postgres_server
from benchmarks.limits import held
from fradect.adapters.ledger_sql import SqlLedger
from fradect.ports import Record
from fradect.types import Action, Decision, Event, Factor, Vector

GROUPS = (1, 4, 16, 64)
LIMITS = {
    "postgresql_commit_cpu_us_group_4": 120.0,
    "postgresql_commit_cpu_us_group_16": 60.0,
    "sqlite_verified_per_s": 100_000.0,
    "postgresql_verified_per_s": 100_000.0,
}
GOALS = {
    "postgresql_commit_cpu_us_group_4": 60.0,
    "postgresql_commit_cpu_us_group_16": 30.0,
    "sqlite_verified_per_s": 200_000.0,
    "postgresql_verified_per_s": 200_000.0,
}
AT_LEAST = ("sqlite_verified_per_s", "postgresql_verified_per_s")
_FILL = 1_000
_VERIFY = """
import sys, time
from fradect.adapters.ledger_verify import verify
start = time.perf_counter()
checked = verify(sys.argv[1])
print(time.perf_counter() - start, checked.decisions, checked.broken)
"""
_TEXT = "7 cards on this device in 24 h, usually 1"
_FACTORS = tuple(Factor(f"customer_count_{i}h", 10 * i, _TEXT, "model", float(i)) for i in range(6))
_ANSWER = (
    b'{"decision_id":"dec_0","score":640,"factors":[' + b'{"name":"velocity","text":"7 cards in 24 h"},' * 12 + b"]}"
)

_EVENT = Event("", "demo", "ecommerce", 1, 1, {
    "amount": 199_990, "amount_base": 199_990, "currency": "RUB", "customer_id": "c1", "merchant_id": "m1",
    "device_id": "d1", "card_token": "k1", "payment_method": "card", "channel": "web", "ip": "192.0.2.1",
    "email_token": "t" * 43, "email_cipher": "x" * 90, "phone_token": "t" * 43, "phone_cipher": "y" * 90,
})  # fmt: skip
_DECISION = Decision(
    decision_id="",
    request_id="req_0123456789abcdef",
    event_id="",
    tenant_id="demo",
    module="ecommerce",
    action=Action.REVIEW,
    score=640,
    probability=0.64,
    factors=_FACTORS,
    release_id="rel_0123456789abcdef",
    vector=Vector((), ()),
    seq=1,
    decided_at=1,
    degraded=(),
    could_not_run=(),
    timings_us={"find": 100, "features": 200, "judgement": 300, "total": 700},
)


def main() -> None:
    given = argparse.ArgumentParser(description="Commits and verification of the ledger.")
    given.add_argument("--rows", type=int, default=200_000)
    given.add_argument("--json", type=Path)
    asked = given.parse_args()
    figures: dict[str, float] = {}
    for name, database in (("sqlite", _sqlite), ("postgresql", _postgresql)):
        with database() as url:
            figures |= {f"{name}_{what}": value for what, value in _measured(url, asked.rows).items()}
    for what, value in figures.items():
        print(f"{what:<32} {value:>12,.0f}")
    if asked.json is not None:
        asked.json.write_text(json.dumps(figures, indent=1))
    sys.exit(0 if held(figures, LIMITS, Console(), at_least=AT_LEAST, goals=GOALS) else 1)


def _measured(url: str, rows: int) -> dict[str, float]:
    ledger, done = SqlLedger(url), 0
    figures: dict[str, float] = {}
    ledger.commit_many([_record(n) for n in range(_FILL)])
    for size in GROUPS:
        count = max(3, 1_280 // size)
        groups = [[_record(_FILL + done + size * g + n) for n in range(size)] for g in range(count)]
        done += count * size
        wall, cpu = _each(ledger, groups)
        figures |= {f"commit_us_group_{size}": wall / size * 1e6, f"commit_cpu_us_group_{size}": cpu / size * 1e6}
    for start in range(_FILL + done, rows, _FILL):
        ledger.commit_many([_record(n) for n in range(start, min(start + _FILL, rows))])
    ledger.close()
    return figures | {"verified_per_s": rows / statistics.median(_verified(url, rows) for _ in range(3))}


def _each(ledger: SqlLedger, groups: list[list[Record]]) -> tuple[float, float]:
    """Seconds of a group: the median by the clock, the mean of this process's processor time."""
    before = time.process_time()
    walls = [_seconds(partial(ledger.commit_many, group)) for group in groups]
    return statistics.median(walls), (time.process_time() - before) / len(groups)


def _verified(url: str, rows: int) -> float:
    """Seconds, in a process that has nothing else loaded."""
    ended = subprocess.run([sys.executable, "-c", _VERIFY, url], capture_output=True, text=True, check=True)
    seconds, decisions, broken = ended.stdout.split(maxsplit=2)
    if broken.strip() != "None" or int(decisions) != rows:
        raise SystemExit(f"{decisions} of {rows} rows were right: {broken}")
    return float(seconds)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _record(n: int) -> Record:
    event = replace(_EVENT, event_id=f"purchase-{n:09}")
    vector = Vector(tuple(map(str, range(30))), tuple(n * 0.37 + i for i in range(30)))
    decision = replace(_DECISION, decision_id=f"dec_{n:023x}", event_id=event.event_id, vector=vector, seq=n + 1)
    return Record(event, decision, "transaction", "d" * 64, {"include_factors": True}, _ANSWER)


@contextmanager
def _sqlite() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
        yield f"sqlite:///{folder}/ledger.db"


@contextmanager
def _postgresql() -> Iterator[str]:
    with postgres_server() as dsn:
        yield dsn.replace("postgresql://", "postgresql+psycopg://")


if __name__ == "__main__":
    main()
