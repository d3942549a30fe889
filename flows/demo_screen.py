"""The one screen at the end of the demo."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flows.fitting import counted
from flows.monitor import DriftFound
from flows.pipeline import Outcome
from flows.screen import leave_json, release_figures, release_lines
from flows.traffic import Answers
from flows.wiring import Workshop, key_file
from fradect.settings import Settings

USUAL_PORT = 8000


@dataclass(frozen=True, slots=True)
class Told:
    """Everything the demo found out."""

    shop: Workshop
    outcome: Outcome
    answers: Answers
    drift: DriftFound
    seconds: float


def tell(told: Told, json: Path | None = None, svg: Path | None = None) -> None:
    """Release, measures, gates, decisions, latency, drift, where to look next; drawn into `svg` where given."""
    leave_json(json, _figures(told))
    console = Console(record=svg is not None)
    outcome = told.outcome
    state = "[green]champion[/green]" if outcome.promoted else "[yellow]candidate[/yellow]"
    title = f"[bold]FRADECT[/bold]  {outcome.release_id}  {state}  [dim]{told.seconds:.0f} s[/dim]"
    parts: list[RenderableType] = [*release_lines(told.shop, outcome.release_id), Text(), *_served(told), Text()]
    if not outcome.promoted:
        parts.insert(0, Text(f"Not promoted: {outcome.reason}", style="yellow"))
    parts.append(_next(told))
    console.print(Panel(Group(*parts), title=title, title_align="left", padding=(1, 2)))
    if svg is not None:
        drawn = console.export_svg(title="make demo")
        svg.write_text(re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL))  # a picture that loads nothing


def _figures(told: Told) -> dict[str, Any]:
    answers, outcome = told.answers, told.outcome
    return {
        **release_figures(told.shop, outcome.release_id),
        "promoted": outcome.promoted,
        "requests": dict(answers.by_outcome),
        "p50_ms": answers.percentile(50),
        "p99_ms": answers.percentile(99),
        "drift": str(told.drift.verdict.answer),
        "seconds": told.seconds,
    }


def _served(told: Told) -> list[RenderableType]:
    answers, total = told.answers, max(sum(told.answers.by_outcome.values()), 1)
    made = Table(box=None, pad_edge=False, show_header=False)
    for justify in ("left", "right", "right"):
        made.add_column(justify=justify)
    for outcome, count in answers.by_outcome.items():
        made.add_row(outcome, f"{count}", f"{count / total:.1%}")
    made.add_row("latency p50, p99", f"{answers.percentile(50):.1f} ms", f"{answers.percentile(99):.1f} ms")
    return [
        Text(f"{counted(total, 'purchase')} it had never seen, over HTTP", style="bold"),
        made,
        _riskiest(answers),
        Text(f"drift against the training reference: {told.drift.verdict.answer}"),
    ]


def _riskiest(answers: Answers) -> Text:
    answer = answers.riskiest
    reasons = sorted((f for f in answer["factors"] if f["name"] != "baseline"), key=lambda f: -f["points"])
    why = "; ".join(f"{f['points']:+d} {f['text']}" for f in reasons[:2])
    return Text.assemble(f"riskiest: {answer['decision']} at {answer['score']}, of these ", (why, "dim"))


def _next(told: Told) -> Table:
    shop, release_id = told.shop, told.outcome.release_id
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    here = _elsewhere(shop.settings)
    rows = (
        ("model card, plots", shop.evidence(release_id) / "card.md"),
        ("drift report", told.drift.page),
        ("data quality", shop.reports / "quality" / "index.html"),
        ("API key", key_file(shop.home, shop.tenant)),
        ("start the service", f"{here}fradect serve  (in .venv/bin), then see README.md for a request"),
        ("runs and models", f"{here}make mlflow  ->  http://127.0.0.1:5000"),
        ("flows", f"{here}make flows  ->  http://127.0.0.1:4200"),
    )
    for what, where in rows:
        made.add_row(Text(what, style="dim"), _short(where))
    return made


def _elsewhere(settings: Settings) -> str:
    """What has to stand before a command for it to find the demo again."""
    home = "" if settings.home == Path(".fradect").resolve() else f"FRADECT_HOME={shlex.quote(str(settings.home))} "
    port = "" if settings.port == USUAL_PORT else f"FRADECT_PORT={settings.port} "
    return home + port


def _short(where: Path | str) -> str:
    if isinstance(where, str):
        return where
    return str(where.relative_to(Path.cwd())) if where.is_relative_to(Path.cwd()) else str(where)
