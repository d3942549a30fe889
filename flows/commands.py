"""Subcommands of `fradect` that run batch work: thin, each calls a stage or the simulator and shows what came out."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows import screen
from flows.evaluate import evaluate
from flows.ingest import ingest
from flows.materialise import materialise
from flows.monitor import drift as measure_drift
from flows.pipeline import pipeline as run_pipeline
from flows.progress import advance, shown, stage
from flows.promote import promote as promote_release
from flows.train import train as train_release
from flows.wiring import raw_folder, workshop
from fradect.errors import InvalidInput
from fradect.simulate import Scenario, write

MODULE = typer.Option(help="The kind of risk.")
TENANT = typer.Option(help="Whose events; a mapping names the tenant it fills.")
TRIALS = typer.Option(min=1, max=1000, help="Trials of the study; a study that was interrupted goes on.")
SEED = typer.Option(min=0, help="Same seed, same result.")
MAPPING = typer.Option(help="A YAML file, or the name of one that ships: simulator, handbook, ecommerce_extract.")
UNTIL = typer.Option(help="Leave out events from this moment on: 2018-09-01 or 2018-09-01T12:00:00Z.")
JSON = typer.Option("--json", help="Write the figures to this file as well.")


def simulate(  # noqa: PLR0913, PLR0917  one option each
    out: Annotated[Path | None, typer.Option(help="Folder for the daily files; default under FRADECT_HOME.")] = None,
    events: Annotated[int, typer.Option(min=1_000, max=1_000_000_000, help="How many purchases.")] = 120_000,
    days: Annotated[int, typer.Option(min=7, max=3_650, help="Over how many days.")] = 120,
    start: Annotated[str, typer.Option(help="First day.")] = "2025-01-01",
    seed: Annotated[int, SEED] = 7,
    bias: Annotated[float, typer.Option(min=0.0, max=5.0, help="Bias against a protected group; 0 is none.")] = 0.0,
    drift_at: Annotated[str | None, typer.Option(help="Day from which behaviour drifts.")] = None,
    drift: Annotated[float, typer.Option(min=0.0, max=5.0, help="How strongly it drifts.")] = 1.0,
) -> None:
    """Make a history of purchases with five kinds of fraud, honest look-alikes and delayed labels.

    The same options give the same files, byte for byte. Import them with `fradect import --mapping simulator`.
    """
    folder = out or raw_folder("simulated")
    first = _day("start", start)
    scenario = Scenario(
        seed=seed,
        start=first,
        days=days,
        events=events,
        customers=max(200, events // 20),
        bias=bias,
        drift_at=None if drift_at is None else _day("drift-at", drift_at),
        drift=drift,
    )
    with shown(), stage("simulate") as result:
        summary = write(scenario, folder, on_day=lambda done, total: advance(done, total, f"day {done} of {total}"))
        result.words = f"{summary.events:,} purchases, {summary.fraud:,} of them fraud, in {folder}"
    screen.simulated(summary, folder)


def import_(
    path: Annotated[Path, typer.Argument(help="A CSV or Parquet file, or a folder of them.")],
    mapping: Annotated[str, MAPPING],
    until: Annotated[str | None, UNTIL] = None,
    max_rejected: Annotated[float, typer.Option(min=0.0, max=1.0, help="Stop above this share of bad rows.")] = 0.05,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Bring events into the log. Rows that cannot be taken go to quarantine with reason and row number.

    Importing the same file twice changes nothing. A folder is read file by file, in order of name.
    """
    with shown():
        report = ingest(str(path), mapping, until, max_rejected)
    screen.imported(report, json)


def pipeline(
    source: Annotated[Path, typer.Argument(help="A CSV or Parquet file, or a folder of them.")],
    mapping: Annotated[str, MAPPING],
    until: Annotated[str | None, UNTIL] = None,
    trials: Annotated[int, TRIALS] = 12,
    seed: Annotated[int, SEED] = 7,
) -> None:
    """Raw files in, a proven release out: ingest, validate, materialise, train, evaluate, promote."""
    with shown():
        outcome = run_pipeline(str(source), mapping, until, trials, seed)
    screen.outcome(workshop(outcome.module, outcome.tenant), outcome)


def train(
    module: Annotated[str, MODULE] = "ecommerce",
    tenant: Annotated[str, TENANT] = "demo",
    trials: Annotated[int, TRIALS] = 12,
    seed: Annotated[int, SEED] = 7,
) -> None:
    """Train a candidate on what the log holds and evaluate it. Nothing is promoted."""
    shop = workshop(module, tenant)
    with shown():
        materialise(module, tenant)
        release_id = train_release(module, tenant, trials, seed)
        evaluate(module, tenant, release_id, seed)
    screen.candidate(shop, release_id)


def promote(
    release: Annotated[str, typer.Argument(help="The release's id, as `fradect release list` shows it.")],
    module: Annotated[str, MODULE] = "ecommerce",
    tenant: Annotated[str, TENANT] = "demo",
) -> None:
    """Make a release champion when its gates pass: better, fair, and live equal to history; say why when not."""
    workshop(module, tenant)
    with shown():
        promoted, reason = promote_release(module, tenant, release)
    Console().print(f"[bold]{release}[/bold] {'is champion' if promoted else 'stays a candidate'}: {reason}")
    if not promoted:
        raise typer.Exit(1)


def drift(
    module: Annotated[str, MODULE] = "ecommerce",
    tenant: Annotated[str, TENANT] = "demo",
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Compare decided live traffic with the champion's training reference: HTML report and verdict.

    Exit code 0 without drift or without enough data, 1 with drift.
    """
    workshop(module, tenant)
    with shown():
        report = measure_drift(module, tenant)
    screen.drift(report, json)
    if report.drifted:
        raise typer.Exit(1)


def _day(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"--{option} {text!r}: give a day such as 2025-03-01", field=option) from error
