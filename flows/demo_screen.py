"""The one screen at the end of the demo."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flows.monitor import DriftFound
from flows.pipeline import Outcome
from flows.screen import release_lines
from flows.traffic import Answers
from flows.wiring import Workshop


@dataclass(frozen=True, slots=True)
class Told:
    """Everything the demo found out."""

    shop: Workshop
    outcome: Outcome
    answers: Answers
    drift: DriftFound
    seconds: float


def tell(told: Told, svg: Path | None = None) -> None:
    """Release, measures, gates, decisions, latency, drift, where to look next; drawn into `svg` where given."""
    console = Console(record=svg is not None)
    outcome = told.outcome
    state = "[green]champion[/green]" if outcome.promoted else "[yellow]candidate[/yellow]"
    title = f"[bold]FRADECT[/bold]  {outcome.release_id}  {state}  [dim]{told.seconds:.0f} s[/dim]"
    parts: list[RenderableType] = [*release_lines(told.shop, outcome.release_id), Text(), _decisions(told), Text()]
    if not outcome.promoted:
        parts.insert(0, Text(f"Not promoted: {outcome.reason}", style="yellow"))
    parts.append(_next(told))
    console.print(Panel(Group(*parts), title=title, title_align="left", padding=(1, 2)))
    if svg is not None:
        console.save_svg(str(svg), title="make demo")


def _decisions(told: Told) -> Table:
    answers, total = told.answers, max(sum(told.answers.by_outcome.values()), 1)
    made = Table(box=None, pad_edge=False, header_style="dim")
    for name in (f"{total} purchases it had never seen, over HTTP", "decisions", "share"):
        made.add_column(name, justify="left" if name.endswith("HTTP") else "right")
    for outcome, count in answers.by_outcome.items():
        made.add_row(outcome, f"{count}", f"{count / total:.1%}")
    made.add_row("latency p50", f"{answers.percentile(50):.1f} ms", "")
    made.add_row("latency p99", f"{answers.percentile(99):.1f} ms", "")
    riskiest = answers.riskiest
    reasons = sorted((f for f in riskiest["factors"] if f["name"] != "baseline"), key=lambda f: -f["points"])
    why = "; ".join(f"{f['points']:+d} {f['text']}" for f in reasons[:2])
    made.add_row(f"riskiest: {riskiest['decision']} at {riskiest['score']}", "", "")
    made.add_row(Text(f"  {why}", style="dim", overflow="ellipsis"), "", "")
    made.add_row(f"drift against the training reference: {told.drift.verdict.answer}", "", "")
    return made


def _next(told: Told) -> Table:
    shop, release_id = told.shop, told.outcome.release_id
    made = Table(box=None, pad_edge=False, show_header=False)
    rows = (
        ("model card, plots", shop.evidence(release_id) / "card.md"),
        ("drift report", told.drift.page),
        ("data quality", shop.reports / "quality"),
        ("start the service", "fradect serve  (in .venv/bin), then see README.md for a request"),
        ("runs and models", "make mlflow  ->  http://127.0.0.1:5000"),
        ("flows", "make flows  ->  http://127.0.0.1:4200"),
    )
    for what, where in rows:
        made.add_row(Text(what, style="dim"), _short(where))
    return made


def _short(where: Path | str) -> str:
    if isinstance(where, str):
        return where
    return str(where.relative_to(Path.cwd())) if where.is_relative_to(Path.cwd()) else str(where)
