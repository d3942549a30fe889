"""`fradect replay`."""

from pathlib import Path
from typing import Annotated

import typer

from flows import screen
from flows.commands.options import JSON, MODULE, TENANT
from flows.progress import shown
from flows.replay import Asked
from flows.replay import replay as play
from flows.wiring import leave_bytes, workshop


def replay(  # noqa: PLR0913, PLR0917  one option each
    module: Annotated[str, MODULE] = "ecommerce",
    tenant: Annotated[str, TENANT] = "demo",
    since: Annotated[str | None, typer.Option("--from", help="Compare events from this moment on.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Compare events before this moment.")] = None,
    state: Annotated[
        str | None, typer.Option(help="A live state to use: redis://... (a scope of its own, removed afterwards).")
    ] = None,
    contract: Annotated[str | None, typer.Option(help="The features to compare; by default the mapping's.")] = None,
    json: Annotated[Path | None, JSON] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page with every detail to this file.")] = None,
) -> None:
    """Play history through the live path and compare every feature of every event, bit for bit.

    By default all events that have as much of the log behind them as any window looks back, counted from the day on
    which it begins in earnest: a hundredth of its events has happened by then, so a few old stragglers decide nothing.
    Of a log that is shorter than that, all events.

    Exit code 1 unless mismatches, missing and extra are all 0.
    """
    workshop(module, tenant)
    with shown():
        found = play(module, tenant, Asked(since, until, state, contract))
    if report is not None:
        leave_bytes(report, found.page())
    screen.replayed(found, json, report)
    if not found.report.equal:
        raise typer.Exit(1)
