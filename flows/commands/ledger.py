"""`fradect ledger`: whether every decision is still as it was written."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows import screen
from flows.commands.options import JSON
from flows.fitting import counted
from flows.progress import advance, shown, stage
from flows.wiring.chains import Checked, End, check

URL = typer.Option("--url", help="sqlite:///<path> or postgresql+psycopg://...; by default FRADECT_LEDGER_URL.")
KEPT = typer.Option("--kept", help="What --json wrote at an earlier time: rows taken from the end since are found.")
_SHOWN = 5  # ends of chains on the screen

app = typer.Typer(no_args_is_help=True, help="The ledger: proof that nobody changed it.")


@app.callback()
def _about() -> None:
    pass  # Typer needs a callback to treat a single command as a subcommand


@app.command()
def verify(
    url: Annotated[str | None, URL] = None,
    kept: Annotated[Path | None, KEPT] = None,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Hold every decision, its event and every checkpoint against the chains, and name the first that is wrong.

    Exit code 1 when one was changed, removed or put in. What was taken from the end since the last daily checkpoint
    shows only to somebody who kept the ends: keep the file that --json writes elsewhere, and give it as --kept later.
    """
    with shown(), stage("verify") as result:
        checked = check(url, kept, lambda done, total: advance(done, total, f"{done:,} of {total:,} decisions"))
        result.words = counted(checked.decisions, "decision")
    screen.leave_json(json, asdict(checked))
    _say(checked)
    if checked.broken is not None:
        raise typer.Exit(1)


def _say(checked: Checked) -> None:
    console = Console()
    if checked.broken is None:
        console.print(
            f"[green]{counted(checked.decisions, 'decision')} in {counted(len(checked.ends), 'chain')} and "
            f"{counted(checked.checkpoints, 'checkpoint')} are as they were written.[/]"
        )
        newest = sorted(checked.ends, key=lambda end: end.chain_seq, reverse=True)[:_SHOWN]
        console.print(screen.table("Ends of chains; keep them elsewhere", _COLUMNS, [_line(end) for end in newest]))
        return
    broken = checked.broken
    place = f"{broken.writer}, number {broken.chain_seq:,}" if broken.writer else "outside the chains"
    decision = f", decision {broken.decision_id}" if broken.decision_id else ""
    console.print(f"[red]Not as it was written:[/] {place}{decision}: {broken.what}.", soft_wrap=True)


_COLUMNS = ("chain", "number", "hash")


def _line(end: End) -> tuple[str, str, str]:
    return end.writer, f"{end.chain_seq:,}", end.row_hash
