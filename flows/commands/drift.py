"""`fradect drift`."""

from pathlib import Path
from typing import Annotated

import typer

from flows import screen
from flows.commands.options import JSON, MODULE, TENANT
from flows.monitor import drift as measure_drift
from flows.progress import shown
from flows.wiring import workshop


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
