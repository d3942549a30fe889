"""What commands show when they are done: tables for people, the same figures as JSON for machines."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flows.evidence import Candidate, Measured, Verdicts, recall
from flows.fitting import Fitting, counted
from flows.wiring import Workshop
from fradect.errors import InvalidInput
from fradect.rollout import WHOLE, Rollout
from fradect.types import Verdict
from monitoring.replay_page import answer, listed
from training.card import NAMES, money

if TYPE_CHECKING:  # a screen must not load the packages behind what it shows
    from flows.monitor import DriftFound
    from flows.pipeline import Outcome
    from flows.replay import Replayed
    from flows.skew import SkewFound
    from flows.wiring.intake import ImportReport
    from fradect.simulate import Summary

EXAMPLES = 3
"""Of a replay's differences that the screen shows in full; its page has all."""

_COLOUR = {"pass": "green", "fail": "red", "not enough data": "yellow"}


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """First column to the left, figures to the right; row by row where it does not fit, nothing is cut."""
    return Fitting(title, columns, rows)


def leave_json(path: Path | None, figures: Mapping[str, Any]) -> None:
    """The same figures for machines, where asked for."""
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n")
        except OSError as error:
            raise InvalidInput(f"{path} cannot be written ({error.strerror}): name another file", "json") from error


def simulated(summary: "Summary", folder: Path, json: Path | None) -> None:
    rows = [(name.replace("_", " "), f"{count:,}") for name, count in summary.by_pattern.items()]
    console = Console()
    console.print(
        table(
            f"{counted(summary.events, 'purchase')} over {counted(summary.days, 'day')}", ("pattern", "purchases"), rows
        )
    )
    console.print(f"Next: [bold]fradect pipeline {folder} --mapping simulator[/bold]")
    leave_json(json, {**asdict(summary), "folder": str(folder)})


def imported(report: "ImportReport", json: Path | None) -> None:
    counts = ("rows", "accepted", "rejected", "duplicates", "held_back", "already", "outcomes")
    rows = [(name.replace("_", " "), f"{getattr(report, name):,}") for name in counts]
    rows += [(f"rejected: {reason}", f"{count:,}") for reason, count in sorted(report.by_reason.items())]
    console = Console()
    leave_json(json, {**asdict(report), "quarantine": report.quarantine and str(report.quarantine)})
    if report.files == report.skipped:
        console.print(
            f"Everything there was imported before: {counted(report.files, 'file')} into tenant {report.tenant}."
        )
        return
    title = f"{counted(report.files, 'file')} into tenant {report.tenant}, {report.skipped} of them imported before"
    console.print(table(title, ("", "rows"), rows))
    if report.quarantine is not None:
        console.print(f"Rejected rows with reason and row number: {report.quarantine}", soft_wrap=True)


def candidate(shop: Workshop, release_id: str, json: Path | None) -> None:
    """A release's metrics and verdicts, and what to do next."""
    console = Console()
    console.print(Group(*release_lines(shop, release_id)))
    console.print(f"Card and plots: {shop.evidence(release_id)}")
    console.print(f"Next: [bold]fradect promote {release_id} --tenant {shop.tenant}[/bold]")
    leave_json(json, release_figures(shop, release_id))


def outcome(shop: Workshop, found: "Outcome", json: Path | None) -> None:
    """A pipeline's release, and whether it is champion now."""
    console = Console()
    console.print(Group(*release_lines(shop, found.release_id)))
    colour = "green" if found.promoted else "yellow"
    state = "is champion" if found.promoted else "goes on" if found.in_shadow else "stays a candidate"
    console.print(f"[bold]{found.release_id}[/bold] [{colour}]{state}[/{colour}]: {found.reason}")
    figures = release_figures(shop, found.release_id)
    leave_json(json, {**figures, "promoted": found.promoted, "reason": found.reason})


def release_figures(shop: Workshop, release_id: str) -> dict[str, Any]:
    """The figures of `release_lines`, and where to look further; money in minor units."""
    folder = shop.evidence(release_id)
    verdicts = recall(folder, Verdicts).verdicts
    return {**asdict(recall(folder, Measured)), "verdicts": verdicts, "evidence": str(folder)}


def release_lines(shop: Workshop, release_id: str) -> list[Table | Text]:
    """Metrics with intervals and gates with reasons."""
    folder = shop.evidence(release_id)
    measured, verdicts = recall(folder, Measured), recall(folder, Verdicts)
    made = recall(folder, Candidate)
    title = Text(f"{made.contract} of {made.tenant}, on {measured.test_events:,} events it never saw", style="bold")
    rows = [(NAMES[name], *_span(name, span, measured.base_currency)) for name, span in measured.metrics.items()]
    return [
        title,
        table("", ("", "value", "95 % interval"), rows),
        Text(),
        gates(verdicts.verdicts),
    ]


def stage(now: Rollout | None, release_id: str) -> str:
    """Where a release stands; nothing for one that plays no part."""
    if now is None or release_id not in now.releases:
        return ""
    if release_id == now.release:
        return "champion"
    if release_id != now.challenger:
        return "champion before"
    return f"{now.stage} on {100 * now.share / WHOLE:g} %" if now.share else str(now.stage)


def gates(verdicts: Sequence[Verdict]) -> Table:
    made = Table(header_style="dim", box=None, pad_edge=False)
    for name in ("gate", "verdict", "why"):
        made.add_column(name)
    for verdict in verdicts:
        made.add_row(verdict.gate, Text(verdict.result, style=_COLOUR[verdict.result]), verdict.reason)
    return made


def drift(found: "DriftFound", json: Path | None) -> None:
    """The answer, the columns furthest beyond their limit, and where the pictures are."""
    verdict = found.verdict
    rows = [
        (column.name, f"{column.value:.3f}", f"{column.threshold:.3f}", "drift" if column.drifted else "")
        for column in verdict.columns[:10]
    ]
    console = Console()
    console.print(
        Panel(f"[bold]{verdict.answer}[/bold]: {verdict.reason}", title=f"{found.release_id} on live traffic")
    )
    if rows:
        console.print(table("Furthest first", ("column", "PSI", "limit", ""), rows))
    console.print(f"Report: {found.page}\nVerdict: {found.file}")
    if json is not None:
        json.write_bytes(verdict.to_json())


def replayed(found: "Replayed", json: Path | None, page: Path | None) -> None:
    """The five figures, features that differ, one example of each with both inputs."""
    report, console = found.report, Console()
    console.print(f"[bold]{found.played.contract}[/bold] of {found.played.tenant}: {found.played.choice}")
    rows = [(name, f"{count:,}") for name, count in report.figures.items()]
    console.print(table("", ("", ""), rows))
    wrong = [(name, f"{count:,}") for name, count in report.by_feature.items() if count]
    if wrong:
        console.print(table("Features that differ", ("feature", "values"), wrong))
    for inputs in found.inputs[:EXAMPLES]:
        example = inputs.example
        console.print(Text(f"\n{example}", style="bold"))
        console.print(Text(f"{inputs.looked_at}; {inputs.conclusion}"))
        entries = [
            (entry.what, entry.live or "-", entry.history or "-", "<" if entry.differs else "")
            for entry in listed(inputs)
        ]
        console.print(table("", ("looked at", "live", "history", ""), entries))
    for words in report.unmatched:
        console.print(Text(words))
    console.print(Text(answer(report), style="green" if report.equal else "red"))
    if page is not None:
        console.print(f"Report: {page}")
    leave_json(json, report.figures)


def skewed(found: "SkewFound", json: Path | None) -> None:
    """What was compared and what differs, by feature where something does."""
    report, console = found.report, Console()
    console.print(f"{report.decisions:,} of {found.decisions:,} decisions of the last day recomputed from the log")
    console.print(table("", ("", ""), [(name, f"{count:,}") for name, count in report.figures.items()]))
    wrong = [
        (name, *(f"{count:,}" for count in (one.mismatch, one.missing, one.extra)))
        for name, one in report.by_feature.items()
        if one.mismatch or one.missing or one.extra
    ]
    if wrong:
        console.print(table("Features that differ", ("feature", "mismatches", "missing", "extra"), wrong))
    if report.overtook:
        console.print(f"{report.overtook:,} decisions overtook an import: it was not in the live state yet")
    console.print(f"Report: {found.page}")
    leave_json(json, report.figures)


def _span(name: str, span: tuple[float | None, float | None, float | None], currency: str) -> tuple[str, str]:
    value, low, high = (_figure(name, figure, currency) for figure in span)
    return value, f"{low} to {high}" if span[1] is not None else ""


def _figure(name: str, figure: float | None, currency: str) -> str:
    if figure is None:
        return "undefined"
    return money(figure, currency) if name == "money_saved" else f"{figure:.4f}"
