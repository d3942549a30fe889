"""A backtest as the terminal shows it, and its figures for machines."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from flows.backtest import Backtested
from flows.decisions_screen import figures as made_again
from flows.fitting import counted
from flows.screen import leave_json, table
from fradect.types import Action
from training.backtest import MEASURES, Part
from training.bootstrap import Interval
from training.card import money
from training.card import said as told

TITLES: Mapping[str, str] = {
    "precision": "precision",
    "recall": "recall",
    "false_positive_rate": "false-positive rate",
    "money_saved": "money saved",
    "declined": "share declined",
    "reviewed": "share reviewed",
}
_RULES = 8


def show(console: Console, found: Backtested, files: Mapping[str, Path | None]) -> None:
    """Matrix, measures, rules, what is known of stored decisions, what to know of how; and where the rest lies."""
    whole = found.numbers.whole
    console.print(Text(headline(found), style="bold"))
    console.print(
        table("Decisions: champion's (down) by candidate's", ("", *(a.name for a in Action)), list(grid(found)))
    )
    columns = ("", "champion", "candidate", "candidate less champion")
    console.print(table(f"On {whole.matured:,} matured events, {whole.frauds:,} fraud", columns, list(measures(found))))
    if found.declined:
        titles = ("", "champion", "candidate")
        console.print(table("Declines, by what was let through by chance", titles, list(declines(found))))
    console.print(Text(load(found)))
    rules = [rule for rule in found.rules["candidate"] if rule.hits][:_RULES]
    rows = [
        (r.rule, f"{r.hits:,}", share(r.precision), f"{r.alone:,}", money(r.alone_money, found.currency)) for r in rules
    ]
    console.print(table("Rules of the candidate", ("rule", "hits", "precision", "alone decide", "saved alone"), rows))
    for line in stored_lines(found):
        console.print(Text(line, style="green" if found.stored is None or found.stored.proven else "red"))
    for note in found.notes:
        console.print(Text(note, style="dim"))
    for what, path in files.items():
        if path is not None:
            console.print(f"{what}: {path}", soft_wrap=True)


def headline(found: Backtested) -> str:
    numbers = found.numbers
    return (
        f"{found.release_id} against {found.against}: {numbers.changed:,} of {numbers.whole.events:,} events "
        "decided otherwise"
    )


def grid(found: Backtested) -> Iterator[tuple[str, ...]]:
    """Champion's outcome, then counts by the candidate's."""
    counts = {(cell.champion, cell.candidate): cell.events for cell in found.numbers.cells}
    for was in Action:
        yield (was.name, *(f"{counts[was.name, now.name]:,}" for now in Action))


def measures(found: Backtested) -> Iterator[tuple[str, ...]]:
    for name in MEASURES:
        whole = found.numbers.whole
        sides = (said(name, side, found.currency) for side in (whole.champion, whole.candidate))
        yield TITLES[name], *sides, said(name, whole.change, found.currency, "points")
    if found.ranking is not None:
        champion, gain = found.ranking.champion_average_precision, found.ranking.average_precision
        yield "average precision", f"{champion:.4f}", f"{champion + gain.value:.4f}", gain.text(4)


def declines(found: Backtested) -> Iterator[tuple[str, ...]]:
    """What exploration tells of both releases' declines."""
    both = [found.declined[side] for side in ("champion", "candidate")]
    yield "declined, label due", *(f"{one.events:,}" for one in both)
    yield "of these known, let through by chance", *(f"{one.let_through:,}" for one in both)
    yield "of these never let through, and not judged", *(f"{one.never:,}" for one in both)
    yield "precision of declines", *(_percents(one.precision) for one in both)
    yield "share of honest events declined", *(_percents(one.false_positive_rate) for one in both)
    yield "precision of the labels at hand (biased)", *(share(one.at_hand) or "not defined" for one in both)


def _percents(span: Interval | None) -> str:
    return "not defined" if span is None else f"{Interval(100 * span.value, 100 * span.low, 100 * span.high).text(2)} %"


def said(name: str, spans: Mapping[str, Interval], currency: str, unit: str = "%") -> str:
    """A measure with its interval and unit; money and shares are told as such."""
    span = spans.get(name)
    if span is None:
        return "not defined"
    if name == "money_saved":
        return told(name, span, currency)
    percent = Interval(100 * span.value, 100 * span.low, 100 * span.high)
    return f"{percent.text(2)} {unit}"


def share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def load(found: Backtested) -> str:
    """What analysts would have had to look at."""
    days = found.numbers.days
    most = [max((getattr(day, side) for day in days), default=0) for side in ("champion", "candidate")]
    mean = [sum(getattr(day, side) for day in days) / max(len(days), 1) for side in ("champion", "candidate")]
    return (
        f"Reviews a day: {mean[0]:,.1f} by the champion (at most {most[0]:,}), {mean[1]:,.1f} by the candidate "
        f"(at most {most[1]:,}), over {len(days):,} days"
    )


def stored_lines(found: Backtested) -> Iterator[str]:
    if found.stored is None:
        return
    again = found.stored.made_again
    yield (
        f"Of {again.decisions:,} stored decisions about these events {again.matched:,} are reproduced byte for byte; "
        f"{found.stored.alike:,} of {found.stored.by_columns:,} whole ones by the backtest's engine, to the bit"
    )
    for release, (count, why) in again.gone.items():
        yield f"{counted(count, 'decision')} of {release} cannot be made again: {why}"


def leave_figures(path: Path | None, found: Backtested) -> None:
    leave_json(path, figures(found))


def figures(found: Backtested) -> dict[str, Any]:
    """Everything but pictures; money in minor units, times in microseconds."""
    plain: dict[str, Any] = {
        "release": found.release_id,
        "against": found.against,
        "module": found.module,
        "tenant": found.tenant,
        "currency": found.currency,
        "period": asdict(found.period),
        "events": found.numbers.whole.events,
        "changed": found.numbers.changed,
        "wanted": found.wanted,
        "decisions": [asdict(cell) for cell in found.numbers.cells],
        "days": [asdict(day) for day in found.numbers.days],
        "whole": _part(found.numbers.whole),
        "slices": [_part(part) for part in found.numbers.parts],
        "average_precision": None if found.ranking is None else asdict(found.ranking),
        "declined": {side: asdict(one) for side, one in found.declined.items()},
        "rules": {
            side: [{**asdict(rule), "precision": rule.precision} for rule in rules]
            for side, rules in found.rules.items()
        },
        "fairness": {
            side: {"groups": [asdict(group) for group in groups.groups], "verdict": asdict(verdict)}
            for side, (groups, verdict) in found.fairness.items()
        },
        "differences": [asdict(one) for one in found.differences],
        "notes": list(found.notes),
        "seconds": round(found.seconds, 3),
    }
    if found.stored is not None:
        own = {"by_columns": found.stored.by_columns, "alike": found.stored.alike, "proven": found.stored.proven}
        plain["stored"] = made_again(found.stored.made_again) | own
    builtin: dict[str, Any] = msgspec.to_builtins(plain)
    return builtin


def _part(part: Part) -> dict[str, Any]:
    return asdict(part)
