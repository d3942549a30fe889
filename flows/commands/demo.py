"""`fradect demo`: the whole story, from history to decisions over HTTP, and one screen that tells it."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import JSON, SEED, TRIALS
from flows.demo_screen import Told, tell
from flows.fitting import counted
from flows.monitor import drift
from flows.pipeline import pipeline
from flows.progress import advance, shown, stage
from flows.service import check_port, service
from flows.traffic import Answers, hold_back, send
from flows.wiring import key_file, mapping_file, raw_folder, workshop
from fradect.errors import InvalidInput, Refused, Unavailable
from fradect.mapping import load_mapping
from fradect.settings import Settings
from fradect.simulate import Scenario, write
from training.dataset import TooShort

REQUESTS = 200
ELSEWHERE = "give it a home of its own, as in `make demo FRADECT_HOME=PATH DEMO='--events 60000 --days 90'`"


def demo(  # noqa: PLR0913, PLR0917  one option each
    data: Annotated[Path | None, typer.Option(help="CSV or Parquet, file or folder; default: simulated.")] = None,
    mapping: Annotated[str | None, typer.Option(help="Its mapping; default: handbook.")] = None,
    events: Annotated[int, typer.Option(min=40_000, help="Simulated purchases.")] = 120_000,
    days: Annotated[int, typer.Option(min=60, help="Simulated days.")] = 120,
    trials: Annotated[int, TRIALS] = 12,
    seed: Annotated[int, SEED] = 7,
    json: Annotated[Path | None, JSON] = None,
    svg: Annotated[Path | None, typer.Option(help="Draw the last screen into this file as well.")] = None,
) -> None:
    """History in, a proven release out, decisions over HTTP, a drift report; then one screen.

    The newest 200 purchases are held back from the log and sent to the service as they would have come.

    The same demo again is a repeat; another wants a home of its own: `make demo FRADECT_HOME=... DEMO=...`.
    """
    started = time.monotonic()
    check_port(Settings.from_env())
    with shown():
        source, name = (data, mapping or "handbook") if data else (_simulated(events, days, seed), "simulator")
        if data is None:
            _check_alone(source, name)
        elif not source.exists():
            raise InvalidInput(f"--data {source}: there is no such file or folder", field="data")
        held = hold_back(source, load_mapping(mapping_file(name)), REQUESTS)
        until = datetime.fromtimestamp(held.since / 1e6, UTC).isoformat()
        with _enough() if data is None else nullcontext():
            outcome = pipeline(str(source), name, until, trials, seed)
        shop = workshop(outcome.module, outcome.tenant)
        if shop.releases.champion(outcome.module, outcome.tenant) is None:
            raise Unavailable(f"no release was promoted: {outcome.reason}")
        with service(shop.settings) as url:
            answers = _purchases(url, shop.settings, outcome.tenant, held.bodies)
            found = drift(outcome.module, outcome.tenant)
    tell(Told(shop, outcome, answers, found, time.monotonic() - started), json, svg)


def _simulated(events: int, days: int, seed: int) -> Path:
    folder = raw_folder(f"simulated-{events}-{days}-{seed}")
    with stage("simulate") as result:
        scenario = Scenario(seed=seed, days=days, events=events, customers=max(200, events // 20))
        summary = write(scenario, folder, lambda done, total: advance(done, total, f"day {done} of {total}"))
        result.words = f"{counted(summary.events, 'purchase')} over {days} days, {summary.fraud:,} of them fraud"
    return folder


def _check_alone(folder: Path, mapping: str) -> None:
    """Two made-up trades in one log are no history of anything."""
    rules, ours = load_mapping(mapping_file(mapping)), set[str]()
    for path in folder.glob("*.parquet"):
        with path.open("rb") as file:
            ours.add(hashlib.file_digest(file, "sha256").hexdigest())
    shop = workshop(rules.module.name, rules.tenant)
    facts = shop.log.facts()
    if facts is not None and not ours.issuperset(source.digest for source in facts.sources):
        raise Refused(
            f"{shop.home} holds another history of tenant {rules.tenant!r} than these options simulate: {ELSEWHERE}, "
            "or remove that one if nothing in it is needed"
        )


@contextmanager
def _enough() -> Iterator[None]:
    """More history is a matter of options here."""
    try:
        yield
    except TooShort as error:
        raise InvalidInput(f"{error.found}: simulate more, with --events or --days, and {ELSEWHERE}") from error


def _purchases(url: str, settings: Settings, tenant: str, bodies: tuple[dict[str, object], ...]) -> Answers:
    with stage("score") as result:
        answers = send(url, key_file(settings.home, tenant).read_text().strip(), bodies)
        counts = ", ".join(f"{count} {name}" for name, count in answers.by_outcome.items())
        result.words = f"{counted(len(answers.milliseconds), 'purchase')} over HTTP: {counts}"
    return answers
