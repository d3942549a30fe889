"""`fradect state`: what the live state holds, and made anew from everything that is stored."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows import screen
from flows.commands.options import JSON, MODULE, TENANT
from flows.progress import shown, stage
from flows.wiring.live_state import Rebuilt, Shown, live_state

STATE = typer.Option("--state", help="sqlite:///<path> or redis[s]://...; by default FRADECT_STATE_URL.")

app = typer.Typer(no_args_is_help=True, help="The live state: what it holds, and made anew from what is stored.")


@app.command()
def rebuild(
    module: Annotated[str, MODULE] = "ecommerce",
    tenant: Annotated[str, TENANT] = "demo",
    state: Annotated[str | None, STATE] = None,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Replace the live state by what log and SQL say: the same bytes, where it had lost nothing.

    A service may go on deciding from the state meanwhile. On SQLite it sees the old one until the new one is whole. On
    Redis its decisions are made without the live state, and say so, until then. What arrives in between is taken in
    within two seconds after.
    """
    with shown(), live_state(module, tenant, state) as kept:
        with stage("state") as result:
            rebuilt = kept.rebuild()
            result.words = f"{rebuilt.events / max(rebuilt.seconds, 1e-9):,.0f} events/s"
        _built(rebuilt, kept.show(), json)


@app.command()
def show(
    module: Annotated[str, MODULE] = "ecommerce",
    tenant: Annotated[str, TENANT] = "demo",
    state: Annotated[str | None, STATE] = None,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Keys and bytes by entity, and how far the state has come. Exit code 1 when it should be rebuilt."""
    with live_state(module, tenant, state, to_read=True) as kept:
        found = kept.show()
    _held(found)
    screen.leave_json(json, {**asdict(found.mark), "contract": found.contract, "entities": _entities(found)})
    if found.is_behind:
        Console().print("[yellow]It is not what the champion reads:[/] run [bold]fradect state rebuild[/].")
        raise typer.Exit(1)


def _built(rebuilt: Rebuilt, found: Shown, json: Path | None) -> None:
    words = {
        "events": "events of the log that windows reach",
        "outcomes": "outcomes of the log",
        "applied": "events that only SQL had",
        "keys": "keys",
        "last_seq": "highest number",
    }
    rows = [(text, f"{getattr(rebuilt, name):,}") for name, text in words.items()]
    Console().print(screen.table(f"Live state for {found.contract}", ("", ""), rows))
    _held(found)
    screen.leave_json(json, {**asdict(rebuilt), "entities": _entities(found)})


def _held(found: Shown) -> None:
    columns = ("entity", "keys", "bytes", "mean", "median", "99 %", "largest")
    entities = found.size.entities if found.size else {}
    rows = [
        (name, *(f"{value:,.0f}" for value in (s.keys, s.total, s.mean, s.p50, s.p99, s.highest)))
        for name, s in entities.items()
    ]
    mark = found.mark
    console = Console()
    console.print(screen.table("Held, by entity, in bytes of a key", columns, rows))
    waiting = f", {found.size.waiting:,} arrivals wait to be confirmed" if found.size else ""
    console.print(f"Numbers up to {mark.last_seq:,}, confirmed up to {mark.confirmed_seq:,}{waiting}.")
    if mark.confirmed_seq < mark.last_seq and found.size:
        console.print("[dim]What lies between is compared with SQL, and confirmed, by the service or a stream.[/]")


def _entities(found: Shown) -> dict[str, dict[str, float]]:
    return {} if found.size is None else {name: spread._asdict() for name, spread in found.size.entities.items()}
