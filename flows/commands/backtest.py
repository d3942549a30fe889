"""`fradect backtest`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows.backtest import Asked
from flows.backtest import backtest as try_on_the_past
from flows.backtest_page import page_of
from flows.backtest_screen import leave_figures, show
from flows.commands.options import JSON, MODULE, SEED, TENANT
from flows.progress import shown
from flows.wiring import leave_bytes, workshop

RELEASE = typer.Argument(help="The candidate's id: `fradect release list`, or `release new` makes one.")
AGAINST = typer.Option(help="The release it is compared with: an id, or champion.")
SINCE = typer.Option("--from", help="Events from this moment on; by default those neither release has learnt from.")
UNTIL = typer.Option("--to", help="Events before this moment; by default to the log's end.")
CHANGES = typer.Option(help="Write every event whose outcome changes to this Parquet file.")
ONLY = typer.Option(
    help="Write and show these changes alone: from=DECLINE, to=APPROVE, cause=model|rules|thresholds, rule=ID, "
    "channel=web, fraud=yes|no; may be repeated."
)
STORED = typer.Option(help="Make the period's stored decisions again and compare them.")
HTML = typer.Option(help="Write a page with charts to this file.")


def backtest(  # noqa: PLR0913, PLR0917  one option each
    release: Annotated[str, RELEASE],
    against: Annotated[str, AGAINST] = "champion",
    since: Annotated[str | None, SINCE] = None,
    until: Annotated[str | None, UNTIL] = None,
    module: Annotated[str, MODULE] = "ecommerce",
    tenant: Annotated[str, TENANT] = "demo",
    html: Annotated[Path | None, HTML] = None,
    json: Annotated[Path | None, JSON] = None,
    changes: Annotated[Path | None, CHANGES] = None,
    only: Annotated[list[str] | None, ONLY] = None,
    stored: Annotated[bool, STORED] = True,
    seed: Annotated[int, SEED] = 7,
) -> None:
    """Two releases over the same past events: what would be decided otherwise, why, and what it is worth.

    Features, lists, prices and labels are those that were known then. Exit code 1 when a stored decision about these
    events does not come out as it is stored.
    """
    workshop(module, tenant)
    with shown():
        found = try_on_the_past(
            module, tenant, release, Asked(against, since, until, seed, changes, tuple(only or ()), stored)
        )
    if html is not None:
        leave_bytes(html, page_of(found))
    leave_figures(json, found)
    show(Console(), found, {"Page": html, "Changes": changes, "Figures": json})
    if found.stored is not None and not found.stored.proven:
        raise typer.Exit(1)
