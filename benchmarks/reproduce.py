"""Decisions made again: stored through the service over HTTP, the service restarted under another release, replayed.

    python -m benchmarks.reproduce [--quick] [--decisions N] [--ledger URL] [--home FOLDER] [--json FILE]

With and without factors, of customers that nobody has seen, and of events that came too late for the live state. Every
decision has to come out the same, byte for byte, from the ledger and the releases alone.
"""

import argparse
import json
import os
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from benchmarks.decision_ground import MARK, MODULE, TENANT, Ground, prepared, profile_home
from flows.decisions import Reproduced, everything, reproduce
from flows.decisions_screen import reproduced
from flows.wiring.deciding import archive
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.reproduce import Wanted
from fradect.settings import Settings
from serving.launch import start

DECISIONS, QUICK, AFTER = 10_000, 300, 20
MOST_CPU_US = 1_000  # of a decision: a thousand a second on one core
LATE = 10  # every tenth event happened three days before it came
CALLERS, TRIES = 8, 30

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """What was decided before the swap and after it, by release, and how many were made without something."""

    before: Mapping[str, int]
    after: Mapping[str, int]
    degraded: int


def bodies(ground: Ground, numbers: Sequence[int]) -> Iterator[Body]:
    """Requests of different customers, every eighth of nobody known; every other with factors."""
    then = (datetime.now(UTC) - timedelta(days=3)).isoformat().replace("+00:00", "Z")
    for number in numbers:
        text = ground.texts[number % len(ground.texts)].replace(MARK, f"{number:012d}")
        body: Body = json.loads(text)
        body["options"] = {"include_factors": number % 2 == 0}
        if number % LATE == LATE - 1:
            body["transaction"]["event_time"] = then
        yield body


def stored(ground: Ground, settings: Settings, decisions: int) -> Stored:
    """Through the service, which is then started anew under another champion."""
    with _service(settings) as client:
        before = _send(client, bodies(ground, range(decisions)))
    other = replace(ground.release, policy=replace(ground.release.policy, review=ground.release.policy.review + 1))
    releases = ReleasesFolder(settings.home)
    releases.save(other)
    releases.promote(MODULE.name, TENANT, other.id)
    with _service(settings) as client:
        after = _send(client, bodies(ground, range(decisions, decisions + AFTER)))
    degraded = sum(bool(answer["degraded"]) for answer in before)
    return Stored(_by_release(before), _by_release(after), degraded)


def _by_release(answers: Sequence[Body]) -> dict[str, int]:
    return dict(Counter(answer["release"] for answer in answers))


@contextmanager
def _service(settings: Settings) -> Iterator[httpx.Client]:
    running = start(settings, settings.home / "service.log")
    try:
        key = (settings.home / "keys" / "api-key").read_text().strip()
        with httpx.Client(base_url=running.url, headers={"X-API-Key": key}, timeout=30, trust_env=False) as client:
            yield client
    finally:
        running.stop()


def _send(client: httpx.Client, some: Iterator[Body]) -> list[Body]:
    with ThreadPoolExecutor(CALLERS) as callers:
        return list(callers.map(lambda body: _decided(client, body), some))


def _decided(client: httpx.Client, body: Body) -> Body:
    """The same id may be sent again and again: a service that is busy says so, and decides it once."""
    for _ in range(TRIES):
        answer = client.post("/api/v1/ecommerce/score", json=body)
        if answer.status_code == httpx.codes.OK:
            decided: Body = answer.json()
            return decided
        if answer.status_code not in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS):
            break
        time.sleep(float(answer.headers.get("Retry-After", "1")))
    raise SystemExit(f"the service answered {answer.status_code}: {answer.text}")


def replayed(release_id: str) -> Reproduced:
    """As `fradect decisions replay --all` does it, of one release."""
    with archive() as where:
        return reproduce(where, everything(where, Wanted(tenant_id=TENANT, release_id=release_id)))


def settings_of(home: Path, ledger: str | None) -> Settings:
    """As the service and the replay both have it: said in the environment."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    os.environ |= {"FRADECT_HOME": str(home), "FRADECT_PORT": str(port)}
    if ledger is not None:
        os.environ["FRADECT_LEDGER_URL"] = ledger
    return Settings.from_env()


def measured(ground: Ground, folder: Path, decisions: int, ledger: str | None) -> tuple[dict[str, Any], Reproduced]:
    settings = settings_of(profile_home(ground, folder, None), ledger)
    told = stored(ground, settings, decisions)
    began = time.process_time()
    found, (after,) = replayed(ground.release.id), told.after
    cpu_us = (time.process_time() - began) / max(found.decisions, 1) * 1e6
    again = replayed(after)
    figures = {
        "decisions": found.decisions,
        "matched": found.matched,
        "asked": decisions,
        "degraded": told.degraded,
        "other_release": again.decisions,
        "other_release_matched": again.matched,
        "replayed_per_s": round(found.decisions / max(found.seconds, 1e-9)),
        "replay_cpu_us": round(cpu_us),
    }
    return figures, found


def is_proven(figures: Mapping[str, Any]) -> bool:
    """Whether every decision is there, some degraded among them, and all came out the same."""
    whole = figures["asked"] == figures["decisions"] == figures["matched"] and figures["degraded"] > 0
    return bool(whole and figures["other_release"] == figures["other_release_matched"] == AFTER)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.reproduce", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} decisions on a small history")
    parser.add_argument("--decisions", type=int, help=f"how many; {DECISIONS:,}, with --quick {QUICK}")
    parser.add_argument("--ledger", metavar="URL", help="default: a SQLite file")
    parser.add_argument("--home", type=Path, help="where the history is kept, to be used again; default: nowhere")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    asked = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="reproduce-") as name:
        folder = Path(name)
        ground = prepared(asked.home or folder / "ground", quick=asked.quick)
        count = asked.decisions or (QUICK if asked.quick else DECISIONS)
        figures, found = measured(ground, folder, count, asked.ledger)
    reproduced(console, found, None)
    console.print(figures)
    if asked.json is not None:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")
    slow = not asked.quick and figures["replay_cpu_us"] > MOST_CPU_US
    if slow:
        console.print(f"more than {MOST_CPU_US:,} µs of processor time a decision", style="red")
    sys.exit(0 if is_proven(figures) and not slow else 1)


if __name__ == "__main__":
    main()
