"""`fradect release`: what releases there are, what is known of one, how two differ, who decides; one by an edit."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group

from flows import screen
from flows.amend import Edit
from flows.amend import amend as amend_release
from flows.commands.options import JSON, MODULE, TENANT
from flows.commands.promote import promote
from flows.commands.release_approval import waiting
from flows.commands.rollout import approve, history, refuse, rollback
from flows.evidence import Candidate, Measured, last_look, recall
from flows.fitting import counted
from flows.wiring import Workshop, workshop
from flows.wiring.storage import fetch_evidence
from fradect.errors import NotFound
from fradect.release import digests
from fradect.release_diff import Apart, apart
from fradect.rollout import WHOLE

FIELDS = ("release", "tenant", "made", "average_precision", "roc_auc", "state", "made_from")

EDITED_RULEBOOK = typer.Option(help="A rulebook in GoRules JDM, in place of the release's.")
EXAMPLES = typer.Option(help="Its examples; by default those beside it: NAME.examples.yaml.")
THRESHOLDS = typer.Option(
    metavar="REVIEW DECLINE", help="Scores from which is reviewed and declined; bands keep theirs."
)
POLICY = typer.Option(help="JSON with the members of policy.json that change, bands among them.")
SOURCE = typer.Option("--from", help="The release whose other parts it takes; by default the champion.")

ABOUT = "List releases, show one, compare two, make one by an edit; move one on, or back, and see who decided when."
app = typer.Typer(no_args_is_help=True, help=ABOUT)


@app.command()
def new(  # noqa: PLR0913, PLR0917  one option each
    rulebook: Annotated[Path | None, EDITED_RULEBOOK] = None,
    examples: Annotated[Path | None, EXAMPLES] = None,
    thresholds: Annotated[tuple[int, int] | None, THRESHOLDS] = None,
    policy: Annotated[Path | None, POLICY] = None,
    source: Annotated[str | None, SOURCE] = None,
    module: Annotated[str, MODULE] = "ecommerce",
    tenant: Annotated[str, TENANT] = "demo",
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """A candidate with an edited rulebook, thresholds or policy, and the champion's other parts. Nothing is trained.

    The rulebook has to be sound and to find in its examples what it should.
    """
    made = amend_release(module, tenant, Edit(rulebook, examples, thresholds, policy), source)
    console = Console()
    console.print(f"[bold]{made.release_id}[/bold], made from {made.made_from}")
    if thresholds is not None and made.bands:
        console.print(f"{made.bands} bands keep thresholds of their own: `fradect release show` lists them")
    where = "" if (module, tenant) == ("ecommerce", "demo") else f" --module {module} --tenant {tenant}"
    console.print(f"Next: [bold]fradect backtest {made.release_id}{where} --html backtest.html[/bold]", soft_wrap=True)
    console.print(f"then: [bold]fradect promote {made.release_id}{where}[/bold]", soft_wrap=True)
    screen.leave_json(json, asdict(made))


@app.command()
def diff(
    one: Annotated[str, typer.Argument(help="A release's id.")],
    other: Annotated[str, typer.Argument(help="Another's.")],
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """In what the second differs from the first: contract, model, calibrator, rules, policy, engines."""
    shop = workshop("ecommerce", "any")
    found = apart(shop.releases.load(one), shop.releases.load(other))
    screen.leave_json(json, {"was": one, "now": other, "differences": [asdict(each) for each in found]})
    console = Console()
    if not found:
        console.print(f"{one} and {other} are the same in every part")
    for part in dict.fromkeys(each.part for each in found):
        console.print(f"\n[bold]{part}[/bold]")
        for each in found:
            if each.part == part:
                console.print(_told(each), markup=False, highlight=False)


def _told(each: Apart) -> str:
    if not each.was or not each.now:
        return f"  {'added' if not each.was else 'removed'}: {each.what}: {each.was or each.now}"
    return f"  {each.what}\n    was {each.was}\n    now {each.now}"


@app.command("list")
def list_(json: Annotated[Path | None, JSON] = None) -> None:
    """Every release of this home, oldest first: tenant, measures, and its stage and share where it has one."""
    shop = workshop("ecommerce", "any")
    fetch_evidence(shop.settings)
    rows = sorted((_row(shop, release_id) for release_id in shop.releases.ids()), key=lambda row: row[2])
    screen.leave_json(json, {"releases": [{**dict(zip(FIELDS, row, strict=True)), **_part(shop, row)} for row in rows]})
    columns = ("release", "tenant", "made (UTC)", "AP", "AUC", "", "")
    console = Console()
    if rows:
        console.print(screen.table(counted(len(rows), "release"), columns, rows))
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
    figures = _measured(shop, release, console)
    policy = stored.policy
    console.print(f"\nreviewed from {policy.review}, declined from {policy.decline}; engines {dict(stored.engines)}")
    for band in policy.bands:
        console.print(f"  {band.name}: reviewed from {band.review}, declined from {band.decline}")
    parts = [(name, digest) for name, digest in digests(stored.parts()).items()]
    console.print(screen.table("Parts", ("part", "SHA-256"), parts))
    looked = last_look(shop.evidence(release))
    if looked is not None:
        console.print(
            f"\nLast look at it, in the {looked.stage} beside {looked.champion}: {looked.move}", highlight=False
        )
        console.print(screen.gates(looked.verdicts))
    console.print(f"Card and plots: {shop.evidence(release)}")
    screen.leave_json(json, {**figures, "parts": dict(parts), "trial": None if looked is None else asdict(looked)})


for command in (promote, rollback, history, waiting, approve, refuse):
    app.command()(command)


def _part(shop: Workshop, row: Sequence[str]) -> dict[str, Any]:
    """Which part a release plays for its tenant: a challenger's stage, and its share of the customers."""
    made = recall(shop.evidence(row[0]), Candidate) if row[1] else None
    now = None if made is None else shop.releases.rollout(made.module, made.tenant)
    if now is None or now.challenger != row[0]:
        return {"stage": None, "share": 0.0}
    return {"stage": str(now.stage), "share": now.share / WHOLE}


def _row(shop: Workshop, release_id: str) -> tuple[str, ...]:
    try:
        made = recall(shop.evidence(release_id), Candidate)
    except NotFound:
        return (release_id, "", "", "not measured", "", "", "")
    state = screen.stage(shop.releases.rollout(made.module, made.tenant), release_id)
    when = datetime.fromtimestamp(made.trained_at / 1e6, UTC).strftime("%Y-%m-%d %H:%M")
    edited = f"edited {made.made_from}" if made.made_from else ""
    return (release_id, made.tenant, when, *_figures(shop, release_id), state, edited)


def _figures(shop: Workshop, release_id: str) -> tuple[str, str]:
    try:
        metrics = recall(shop.evidence(release_id), Measured).metrics
    except NotFound:
        return "not measured", ""
    precision, area = (f"{metrics[name][0] or 0:.4f}" for name in ("average_precision", "roc_auc"))
    return precision, area


def _measured(shop: Workshop, release_id: str, console: Console) -> dict[str, Any]:
    """Shown where there is anything to show; the figures."""
    try:
        console.print(Group(*screen.release_lines(shop, release_id)))
    except NotFound:
        console.print("Not measured yet: `fradect backtest` tries it on the past, `fradect promote` measures it.")
        return {"release_id": release_id}
    return screen.release_figures(shop, release_id)
