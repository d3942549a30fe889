"""`fradect decisions`: what was decided, shown, listed, and made again."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from flows import decisions as past
from flows.commands.options import JSON
from flows.decisions_screen import reproduced, shown_decision
from flows.fitting import counted
from flows.moments import moment
from flows.progress import shown
from flows.screen import leave_json, table
from flows.wiring.deciding import archive
from fradect.errors import InvalidInput
from fradect.outcomes import Outcome
from fradect.reproduce import Kept, Wanted
from fradect.types import Action

ID = typer.Argument(help="The decision's id.")
TENANT = typer.Option(help="Only this tenant's.")
MODULE = typer.Option(help="Only of this kind of risk.")
SINCE = typer.Option(help="Only from this moment on: 2026-01-31 or 2026-01-31T12:00:00Z.")
ACTION = typer.Option(help="APPROVE, REVIEW or DECLINE.")

app = typer.Typer(no_args_is_help=True, help="Show decisions, and prove that they can be made again.")


@app.command()
def show(decision: Annotated[str, ID], json: Annotated[Path | None, JSON] = None) -> None:
    """One decision: why, by which release, with which features, and what it turned out to be."""
    with archive() as where:
        found = where.reads.shown(decision)
    shown_decision(Console(), found)
    if json is not None:
        leave_json(json, msgspec.to_builtins(found.standing) | {"answer": msgspec.json.decode(found.answer)})


@app.command("list")
def list_(  # noqa: PLR0913, PLR0917  one option each
    tenant: Annotated[str | None, TENANT] = None,
    module: Annotated[str | None, MODULE] = None,
    since: Annotated[str | None, SINCE] = None,
    action: Annotated[str | None, ACTION] = None,
    release: Annotated[str | None, typer.Option(help="Only of this release.")] = None,
    until: Annotated[str | None, typer.Option(help="Only before this moment.")] = None,
    outcome: Annotated[str | None, typer.Option(help="confirmed_fraud, false_positive, unknown, or none told.")] = None,
    min_score: Annotated[int | None, typer.Option(min=0, max=1000, help="Only of this score or more.")] = None,
    max_score: Annotated[int | None, typer.Option(min=0, max=1000, help="Only of this score or less.")] = None,
    customer: Annotated[str | None, typer.Option(help="Only about this customer.")] = None,
    degraded: Annotated[bool | None, typer.Option(help="Only those made without something, or whole ones.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Decisions, the newest first."""
    if action is not None and action not in Action.__members__:
        raise InvalidInput(f"--action {action!r}: give one of {', '.join(Action.__members__)}", "action")
    if outcome is not None and outcome not in (*Outcome, "none"):
        raise InvalidInput(f"--outcome {outcome!r}: give one of {', '.join(Outcome)}, none", "outcome")
    wanted = Wanted(
        tenant_id=tenant,
        module=module,
        since=moment("since", since) or 0,
        action=action,
        release_id=release,
        until=moment("until", until),
        outcome=outcome,
        min_score=min_score,
        max_score=max_score,
        customer_id=customer,
        degraded=degraded,
    )
    with archive() as where:
        found = where.reads.listed(wanted, limit)
    rows = [_line(kept) for kept in found]
    leave_json(json, {"decisions": [dict(zip(_COLUMNS, row, strict=True)) for row in rows]})
    Console().print(table(counted(len(rows), "decision"), _COLUMNS, rows))


@app.command()
def replay(  # noqa: PLR0913, PLR0917  one option each
    decision: Annotated[str | None, typer.Argument(help="One decision's id.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="So many, evenly drawn over the time.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every one.")] = False,
    tenant: Annotated[str | None, TENANT] = None,
    module: Annotated[str | None, MODULE] = None,
    since: Annotated[str | None, SINCE] = None,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Make stored decisions again, from the ledger and the releases alone, and compare them byte for byte.

    Exit code 1 unless every one of them comes out the same: score, decision, probability, factors, what could not
    run, what it was made without, and the answer.
    """
    if sum((decision is not None, sample is not None, everything)) != 1:
        raise InvalidInput("give a decision's id, or --sample N, or --all")
    wanted = Wanted(tenant, module, moment("since", since) or 0)
    with shown(), archive() as where:
        if decision is not None:
            batches = past.one(where, decision)
        elif sample is not None:
            batches = past.sample(where, wanted, sample)
        else:
            batches = past.everything(where, wanted)
        found = past.reproduce(where, batches)
    reproduced(Console(), found, json)
    if not found.proven:
        raise typer.Exit(1)


_COLUMNS = ("decision", "made", "tenant", "entity", "score", "action", "release")


def _line(kept: Kept) -> tuple[str, ...]:
    one = kept.decision
    made = datetime.fromtimestamp(one.decided_at / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return one.decision_id, made, one.tenant_id, one.event_id, str(one.score), one.action.name, one.release_id
