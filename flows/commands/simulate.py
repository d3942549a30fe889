"""`fradect simulate`."""

from pathlib import Path
from typing import Annotated

import typer

from flows import screen
from flows.commands.options import JSON, SEED, day
from flows.fitting import counted
from flows.progress import advance, shown, stage
from flows.wiring import raw_folder
from fradect.simulate import Scenario, write


def simulate(  # noqa: PLR0913, PLR0917  one option each
    out: Annotated[Path | None, typer.Option(help="Folder for the daily files; default under FRADECT_HOME.")] = None,
    events: Annotated[int, typer.Option(min=1_000, max=1_000_000_000, help="How many purchases.")] = 120_000,
    days: Annotated[int, typer.Option(min=7, max=3_650, help="Over how many days.")] = 120,
    start: Annotated[str, typer.Option(help="First day.")] = "2025-01-01",
    seed: Annotated[int, SEED] = 7,
    bias: Annotated[float, typer.Option(min=0.0, max=1.0, help="Bias against a protected group; 0 is none.")] = 0.0,
    drift_at: Annotated[str | None, typer.Option(help="Day from which behaviour drifts.")] = None,
    drift: Annotated[float, typer.Option(min=0.0, max=1.0, help="How strongly it drifts.")] = 0.5,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Make a history of purchases with five kinds of fraud, honest look-alikes and delayed labels.

    The same options give the same files, byte for byte. Import them with `fradect import --mapping simulator`.
    """
    folder = out or raw_folder("simulated")
    first = day("start", start)
    scenario = Scenario(
        seed=seed,
        start=first,
        days=days,
        events=events,
        customers=max(200, events // 20),
        bias=bias,
        drift_at=None if drift_at is None else day("drift-at", drift_at),
        drift=drift,
    )
    with shown(), stage("simulate") as result:
        summary = write(scenario, folder, on_day=lambda done, total: advance(done, total, f"day {done} of {total}"))
        result.words = f"{counted(summary.events, 'purchase')}, {summary.fraud:,} of them fraud, in {folder}"
    screen.simulated(summary, folder, json)
