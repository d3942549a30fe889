"""`fradect serve`."""

import signal
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from fradect.settings import Settings
from serving.launch import start


def serve(
    log: Annotated[Path | None, typer.Option(help="Where the service's log lines go; default: the terminal.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes that decide; several need PostgreSQL and Redis.")
    ] = None,
) -> None:
    """Start the scoring service and keep it running until interrupted.

    It answers on FRADECT_HOST:FRADECT_PORT (127.0.0.1:8000) as soon as a release is champion. The first start makes
    an API key for each tenant and leaves it under FRADECT_HOME/keys.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    settings, console = Settings.from_env(), Console(stderr=True)
    settings = settings if workers is None else replace(settings, workers=workers)
    if settings.store_url is None and not any((settings.home / "releases" / "champions").glob("*/*.json")):
        console.print("No release is champion yet: `fradect pipeline` makes one; waiting for it.")
    running = start(settings, log)
    console.print(f"[bold]{running.url}[/bold] answers; Ctrl-C stops it")
    try:
        code = running.wait()
    except KeyboardInterrupt:
        running.stop()
        code = 0
    raise typer.Exit(code)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """A supervisor's SIGTERM ends the service as Ctrl-C does; else its child would stay behind."""
    raise KeyboardInterrupt
