"""`fradect promote`, which is `fradect release promote` too."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from flows import screen
from flows.commands.options import JSON, MODULE, TENANT
from flows.moments import moment
from flows.progress import shown
from flows.rollout import Moved, Split, Wish, go_on
from flows.wiring import Workshop, workshop
from flows.wiring.promotion import who
from fradect.errors import InvalidInput, NotFound
from fradect.moves import Act
from fradect.rollout import WHOLE

AT_ONCE = typer.Option("--now", help="By its gates on history alone, straight to champion.")
SPLIT = typer.Option("--split", metavar="SHARE", help="After the shadow a fixed share, such as 20%; with --until.")
UNTIL = typer.Option(help="When the split ends, such as 2026-12-01T00:00Z.")
REASON = typer.Option(help="Kept with the step, in place of what the gates say.")

_TOLD = {
    "candidate": "stays a candidate",
    "shadow": "is in the shadow: it is asked beside the champion and decides nothing",
    "wait": "stays where it is",
    "withdraw": "is withdrawn",
    "promote": "is champion",
}
_HELD = ("candidate", "withdraw")


def promote(  # noqa: PLR0913, PLR0917  one option each
    release: Annotated[str, typer.Argument(help="The release's id, as `fradect release list` shows it.")],
    at_once: Annotated[bool, AT_ONCE] = False,
    split: Annotated[str | None, SPLIT] = None,
    until: Annotated[str | None, UNTIL] = None,
    reason: Annotated[str, REASON] = "",
    module: Annotated[str, MODULE] = "ecommerce",
    tenant: Annotated[str, TENANT] = "demo",
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Take a release one step further, as far as evidence allows; say what it waits for, or why not.

    A candidate passes its gates on history (better, fair, live equal to history)
    and goes into the [bold]shadow[/bold]. From there the running service's decisions are the
    evidence: [bold]canary[/bold] on 5, 25, 50 % of the customers, then [bold]champion[/bold].
    The same command looks again; the deployment promotion/every-ten-minutes does
    so by itself. A guardrail that breaks withdraws it at once. The champion's
    policy sets the terms (limits.stages): `fradect release new --policy FILE`.

    --now is right where no traffic could judge it: a first trial, a demo, a
    service that does not run yet. A tenant's first release is champion at once.

    Exit code 1 when the release was kept or taken back.
    """
    wish = Wish(Act(who(), reason), at_once, _split(split, until, at_once=at_once))
    shop = workshop(module, tenant)
    with shown():
        moved = go_on(module, tenant, release, wish)
    tell(shop, moved, json)
    if moved.move in _HELD:
        raise typer.Exit(1)


def tell(shop: Workshop, moved: Moved, json: Path | None) -> None:
    """Its gates, and what became of it."""
    console = Console()
    if moved.verdicts:
        console.print(screen.gates(moved.verdicts))
    state = _TOLD.get(moved.move) or f"goes on, {screen.stage(moved.now, moved.release_id)}"
    console.print(f"[bold]{moved.release_id}[/bold] {state}: {moved.reason}", highlight=False, soft_wrap=True)
    if moved.move == "shadow":
        console.print("Next: let `fradect serve` decide, then the same command again, or `make flows`.")
    screen.leave_json(json, {**_measured(shop, moved), **_figures(moved)})


def _figures(moved: Moved) -> dict[str, Any]:
    now = moved.now
    return {
        "release_id": moved.release_id,
        "move": moved.move,
        "reason": moved.reason,
        "promoted": now is not None and now.release == moved.release_id and moved.move != "candidate",
        "champion": now.release if now else None,
        "stage": str(now.stage) if now and now.challenger == moved.release_id else None,
        "share": now.share / WHOLE if now and now.challenger == moved.release_id else 0.0,
        "trial": [asdict(verdict) for verdict in moved.verdicts],
    }


def _measured(shop: Workshop, moved: Moved) -> dict[str, Any]:
    """On history; nothing for a release that was put on trial without."""
    try:
        return screen.release_figures(shop, moved.release_id)
    except NotFound:
        return {}


def _split(share: str | None, until: str | None, *, at_once: bool) -> Split | None:
    if share is None and until is None:
        return None
    if share is None or until is None or at_once:
        raise InvalidInput("a split takes both, and no --now: --split 20% --until 2026-12-01T00:00Z", "split")
    match = re.fullmatch(r"(\d{1,2}(?:\.\d{1,2})?)\s*%", share.strip())
    if match is None or not float(match[1]):
        raise InvalidInput(f"--split {share!r}: give a share between 0.01% and 99.99%, such as 20%", "split")
    end = moment("until", until)
    assert end is not None  # noqa: S101  a text was given
    return Split(round(float(match[1]) * WHOLE / 100), end)
