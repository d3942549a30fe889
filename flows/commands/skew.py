"""`fradect skew`."""

from pathlib import Path
from typing import Annotated

import typer

from flows import screen
from flows.commands.options import JSON, MODULE, TENANT
from flows.progress import shown
from flows.skew import SAMPLE
from flows.skew import skew as recompute
from flows.wiring import workshop


def skew(
    module: Annotated[str, MODULE] = "ecommerce",
    tenant: Annotated[str, TENANT] = "demo",
    sample: Annotated[int, typer.Option(min=1, help="How many decisions of the last day to recompute.")] = SAMPLE,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Recompute the features that decisions of the last day were made with, from the log, and count what differs.

    Exit code 1 when a value differs, or one side lacks it without the decision having said so.
    """
    workshop(module, tenant)
    with shown():
        found = recompute(module, tenant, sample)
    screen.skewed(found, json)
    if not found.report.equal:
        raise typer.Exit(1)
