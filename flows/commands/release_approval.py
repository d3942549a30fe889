"""`fradect release waiting`: the step that waits for a second person, with its card."""

from pathlib import Path
from typing import Annotated

import msgspec
from rich.console import Console

from flows import screen
from flows.commands.options import JSON, MODULE, TENANT
from flows.wiring import workshop
from fradect.moves import standing
from fradect.rollout import Proposal, Rollout
from fradect.types import Verdict
from training.stages import day, told


def waiting(
    module: Annotated[str, MODULE] = "ecommerce",
    tenant: Annotated[str, TENANT] = "demo",
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """What waits for a second person: who asks for it, and the card, which says what its gates found.

    Then `fradect release approve REL --evidence DIGEST` agrees to this card and no other, and `refuse` says no.
    """
    now = standing(workshop(module, tenant).releases, module, tenant)
    screen.leave_json(json, msgspec.to_builtins({"proposed": now.proposed, "approved": now.approved}))
    console = Console()
    if now.proposed is None:
        console.print(f"Nothing waits for a second person for {tenant}", highlight=False)
        return
    _show(console, now, now.proposed)


def _show(console: Console, now: Rollout, waits: Proposal) -> None:
    becomes = "champion" if waits.stage is None else f"{waits.stage} on {told(waits.share)} of the customers"
    if waits.until is not None:
        becomes += f" until {day(waits.until)}"
    asked = f"asked for by {waits.asked.by or 'nobody by name'}, {day(waits.asked.at)}"
    console.print(f"[bold]{waits.release}[/bold] as {becomes}, {asked}", highlight=False, soft_wrap=True)
    console.print(f"beside {now.release}: {waits.asked.reason}", highlight=False, markup=False, soft_wrap=True)
    console.print(screen.gates([Verdict(one.gate, one.result, one.reason) for one in waits.card]))
    if now.approved is not None:
        console.print(f"approved by {now.approved.by}: the next look takes it", highlight=False, markup=False)
        return
    console.print(f"fradect release approve {waits.release} --evidence {waits.evidence}", soft_wrap=True, markup=False)
