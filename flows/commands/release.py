"""`fradect release`: what releases there are, and what is known of one."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group

from flows import screen
from flows.commands.options import JSON
from flows.evidence import Candidate, Measured, recall
from flows.wiring import Workshop, workshop
from flows.wiring.storage import fetch_evidence
from fradect.errors import NotFound
from fradect.release import digests

FIELDS = ("release", "tenant", "made", "average_precision", "roc_auc", "state")

app = typer.Typer(no_args_is_help=True, help="List releases, or show one.")


@app.command("list")
def list_(json: Annotated[Path | None, JSON] = None) -> None:
    """Every release of this home, oldest first, with its tenant, its measures and who is champion."""
    shop = workshop("ecommerce", "any")
    fetch_evidence(shop.settings)
    rows = sorted((_row(shop, release_id) for release_id in shop.releases.ids()), key=lambda row: row[2])
    screen.leave_json(json, {"releases": [dict(zip(FIELDS, row, strict=True)) for row in rows]})
    columns = ("release", "tenant", "made (UTC)", "AP", "AUC", "")
    console = Console()
    if rows:
        console.print(screen.table(f"{len(rows)} releases", columns, rows))
    else:
        console.print("No releases yet: `fradect pipeline` makes one.")


@app.command()
def show(
    release: Annotated[str, typer.Argument(help="The release's id.")],
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Measures with intervals, gates with reasons, thresholds and the digests of the parts."""
    shop = workshop("ecommerce", "any")
    stored = shop.releases.load(release)
    fetch_evidence(shop.settings, release)
    console = Console()
    console.print(Group(*screen.release_lines(shop, release)))
    policy = stored.policy
    console.print(f"\nreviewed from {policy.review}, declined from {policy.decline}; engines {dict(stored.engines)}")
    for band in policy.bands:
        console.print(f"  {band.name}: reviewed from {band.review}, declined from {band.decline}")
    parts = [(name, digest) for name, digest in digests(stored.parts()).items()]
    console.print(screen.table("Parts", ("part", "SHA-256"), parts))
    console.print(f"Card and plots: {shop.evidence(release)}")
    screen.leave_json(json, {**screen.release_figures(shop, release), "parts": dict(parts)})


def _row(shop: Workshop, release_id: str) -> tuple[str, ...]:
    try:
        made = recall(shop.evidence(release_id), Candidate)
        metrics = recall(shop.evidence(release_id), Measured).metrics
    except NotFound:
        return (release_id, "", "", "not measured", "", "")
    is_champion = shop.releases.champion(made.module, made.tenant) == release_id
    when = datetime.fromtimestamp(made.trained_at / 1e6, UTC).strftime("%Y-%m-%d %H:%M")
    figures = (f"{metrics[name][0] or 0:.4f}" for name in ("average_precision", "roc_auc"))
    return (release_id, made.tenant, when, *figures, "champion" if is_champion else "")
