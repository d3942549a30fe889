"""`fradect release rollback`, `approve`, `refuse`, `history`: who decides for a tenant, by whose word, and why."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from flows import screen
from flows.commands.options import JSON, MODULE, TENANT
from flows.rollout import roll_back
from flows.wiring import workshop
from flows.wiring.promotion import who
from fradect import moves
from fradect.moves import Act, Looked
from fradect.rollout import Rollout
from training.stages import day

REASON = typer.Option(help="Why; kept in the history.")
EVIDENCE = typer.Option(help="The digest of the card that you have read: another card by now is refused.")


def rollback(
    reason: Annotated[str, REASON] = "rolled back by hand",
    module: Annotated[str, MODULE] = "ecommerce",
    tenant: Annotated[str, TENANT] = "demo",
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Withdraw the challenger; where none is tried, make the champion before this one champion again.

    Services look every half second, and have the champion before still loaded: no
    decision is lost on the way. `fradect release history` tells who did it, and why.
    """
    after = roll_back(module, tenant, Act(who(), reason))
    Console().print(f"[bold]{after.release}[/bold] decides for {tenant}: {reason}", highlight=False, soft_wrap=True)
    screen.leave_json(json, _row(after))


def approve(  # noqa: PLR0913, PLR0917  one option each
    release: Annotated[str, typer.Argument(help="The release that you have looked at.")],
    reason: Annotated[str, REASON] = "approved by hand",
    evidence: Annotated[str | None, EVIDENCE] = None,
    module: Annotated[str, MODULE] = "ecommerce",
    tenant: Annotated[str, TENANT] = "demo",
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Agree, as a second person, to the step that waits for one; the next look takes it, if its gates still pass.

    Look first: `fradect release waiting` has its card, `fradect release show` its
    measures and the last look at its trial. Whoever asked for the step, or began the
    trial, cannot approve it. Two have to agree where FRADECT_FOUR_EYES names the tenant, or the champion's
    policy says so (limits.stages.four_eyes).
    """
    looked, releases = Looked(release, evidence), workshop(module, tenant).releases
    after = moves.approve(releases, module, tenant, looked, Act(who(), reason))
    Console().print(f"[bold]{release}[/bold] may go on: the next look takes it there", highlight=False)
    screen.leave_json(json, _row(after))


def refuse(
    release: Annotated[str, typer.Argument(help="The release that you have looked at.")],
    reason: Annotated[str, REASON] = "refused by hand",
    module: Annotated[str, MODULE] = "ecommerce",
    tenant: Annotated[str, TENANT] = "demo",
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Say no to the step that waits for a second person; a challenger is withdrawn with it."""
    after = moves.refuse(workshop(module, tenant).releases, module, tenant, Looked(release), Act(who(), reason))
    Console().print(f"[bold]{after.release}[/bold] goes on deciding for {tenant}: {reason}", highlight=False)
    screen.leave_json(json, _row(after))


def history(
    module: Annotated[str, MODULE] = "ecommerce",
    tenant: Annotated[str, TENANT] = "demo",
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Who decided since when, who was tried beside them, by whose word and why; newest last.

    What the gates said at each look lies as JSON beside a release's evidence, in
    its folder looks/.
    """
    rows = [_row(one) for one in workshop(module, tenant).releases.history(module, tenant)]
    screen.leave_json(json, {"module": module, "tenant": tenant, "history": rows})
    console = Console()
    if not rows:
        console.print(f"Nothing ever decided {module} for {tenant}: `fradect pipeline` makes a release.")
        return
    for row in rows:
        beside = f", beside it {row['challenger']} ({row['stage']}, {100 * row['share']:g} %)" if row["stage"] else ""
        by = f" by {row['by']}" if row["by"] else ""
        console.print(f"[bold]{row['number']}[/bold]  {day(row['since'])}  {row['what']}{by}", highlight=False)
        console.print(f"   {row['champion']} decides{beside}", highlight=False, soft_wrap=True)
        console.print(f"   {row['reason']}", style="dim", highlight=False, markup=False)


def _row(now: Rollout) -> dict[str, Any]:
    step = msgspec.to_builtins(now.step) if now.step is not None else {}
    return {
        "number": now.number,
        "since": now.since,
        "champion": now.release,
        "challenger": now.challenger,
        "stage": None if now.stage is None else str(now.stage),
        "share": now.share / 10_000,
        "until": now.until,
        "previous": now.previous,
        "what": step.get("what", "named"),
        "by": step.get("by", ""),
        "reason": step.get("reason", ""),
        "at": step.get("at", now.since),
    }
