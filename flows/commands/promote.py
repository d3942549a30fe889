"""`fradect promote`."""

from typing import Annotated

import typer
from rich.console import Console

from flows.commands.options import MODULE, TENANT
from flows.progress import shown
from flows.promote import promote as promote_release
from flows.wiring import workshop


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
