"""`fradect promote`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows import screen
from flows.commands.options import JSON, MODULE, TENANT
from flows.progress import shown
from flows.promote import promote as promote_release
from flows.wiring import workshop


def promote(
    release: Annotated[str, typer.Argument(help="The release's id, as `fradect release list` shows it.")],
    module: Annotated[str, MODULE] = "ecommerce",
    tenant: Annotated[str, TENANT] = "demo",
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Make a release champion when its gates pass: better, fair, and live equal to history; say why when not."""
    shop = workshop(module, tenant)
    with shown():
        promoted, reason = promote_release(module, tenant, release)
    Console().print(f"[bold]{release}[/bold] {'is champion' if promoted else 'stays a candidate'}: {reason}")
    screen.leave_json(json, {**screen.release_figures(shop, release), "promoted": promoted, "reason": reason})
    if not promoted:
        raise typer.Exit(1)
