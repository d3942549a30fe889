"""The tour as it is told: chapters while it goes on, one screen at its end, the same figures for machines."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, Group
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from flows.backtest import Backtested
from flows.backtest_screen import TITLES, headline
from flows.monitor import DriftFound
from flows.progress import shown
from flows.screen import leave_json, table
from flows.tour import Proof, Quality, Retrained, Sizes
from flows.tour_trial import Sabotaged, Step
from training.bootstrap import Interval
from training.card import money

_MEASURES = {"recall": "fraud caught", "precision": "alarms that were right", "average_precision": "average precision"}


@dataclass(frozen=True, slots=True)
class Toured:
    """Everything the tour found out. `milliseconds`: what each purchase waited for its answer."""

    home: Path
    sizes: Sizes
    first: str
    calm: DriftFound
    alert: DriftFound
    before: Quality
    after: Quality
    retrained: Retrained
    steps: Sequence[Step]
    sabotaged: Sabotaged
    champion: str
    proof: Proof
    milliseconds: Sequence[float]
    seconds: float


class Story:
    """Told on standard error, where bars are too."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._number = 0

    def head(self, title: str, words: str) -> None:
        """Of a chapter."""
        self._number += 1
        self.console.print()
        self.console.print(Rule(f"[bold]{self._number}  {title}[/bold]", align="left", style="dim"))
        self.console.print(words, style="italic")

    @contextmanager
    def chapter(self, title: str, words: str) -> Iterator[None]:
        """Its stages are shown under it."""
        self.head(title, words)
        with shown():
            yield

    def say(self, words: str) -> None:
        self.console.print(words)

    def decay(self, before: Quality, after: Quality, currency: str) -> None:
        columns = ("by the same champion", f"before, {before.events:,} purchases", f"since, {after.events:,} purchases")
        self.console.print(table("", columns, list(_decay(before, after, currency))))

    def tried(self, retrained: Retrained) -> None:
        found = retrained.tried
        self.console.print(Text(headline(found), style="bold"))
        self.console.print(table("", ("", "champion", "challenger", "difference, 95 %"), list(_gains(found))))

    def follow(self, steps: Iterator[Step]) -> list[Step]:
        """Each as it is taken, under the stages that led to it."""
        taken: list[Step] = []
        while True:
            with shown():
                step = next(steps, None)
            if step is None:
                return taken
            taken.append(step)
            self._step(step)

    def _step(self, step: Step) -> None:
        became = "champion" if step.move == "promote" else "it goes on"
        found = step.reason.partition(";")[0].removeprefix("data: ")
        said = f"{found}; {len(step.held)} guardrails hold: {', '.join(step.held)}"
        self.console.print(Padding(Text.assemble((f"{step.name}: {became}. ", "bold green"), said), (0, 0, 0, 2)))


def _decay(before: Quality, after: Quality, currency: str) -> Iterator[tuple[str, ...]]:
    yield "of them fraud", f"{before.frauds:,}", f"{after.frauds:,}"
    for name, title in _MEASURES.items():
        yield title, _share(before, name), _share(after, name)
    yield "of what fraud would have cost", *(money(one.at_stake, currency) for one in (before, after))
    yield "saved, less what it cost honest people", *(_saved(one) for one in (before, after))


def _share(of: Quality, name: str) -> str:
    span = of.metrics.get(name)
    return "not defined" if span is None else Interval(span.value, span.low, span.high).text(2)


def _saved(of: Quality) -> str:
    return f"{of.metrics['money_saved'].value / of.at_stake:.0%}"


def _gains(found: Backtested) -> Iterator[tuple[str, ...]]:
    whole = found.numbers.whole
    for name in ("recall", "precision", "false_positive_rate", "declined", "reviewed"):
        sides = (side.get(name) for side in (whole.champion, whole.candidate))
        yield (
            TITLES[name],
            *("" if one is None else f"{one.value:.1%}" for one in sides),
            _points(whole.change.get(name)),
        )
    saved = (side["money_saved"] for side in (whole.champion, whole.candidate, whole.change))
    yield TITLES["money_saved"], *(money(one.value, found.currency) for one in saved)


def _points(span: Interval | None) -> str:
    return "" if span is None else f"{100 * span.value:+.1f} ({100 * span.low:+.1f} to {100 * span.high:+.1f}) points"


def finish(toured: Toured, json: Path | None) -> None:
    """The last screen, on standard output."""
    leave_json(json, figures(toured))
    bad, proof = toured.sabotaged, toured.proof
    title = f"[bold]FRADECT[/bold]  the tour  [dim]{toured.seconds:.0f} s[/dim]"
    rows = (
        ("first champion", toured.first),
        ("drift", f"{toured.calm.verdict.answer} in calm days, then: {toured.alert.verdict.answer}"),
        ("fraud caught", "by the first {:.0%} before the drift, {:.0%} since".format(*_recalls(toured))),
        ("", "on the past by the first {:.0%}, by the second {:.0%}".format(*_tried(toured))),
        ("champion now", f"{toured.champion}, by {_way(toured.steps)}"),
        ("sabotage", f"{bad.release_id}: caught by {bad.gate} {bad.to_verdict:.1f} s after its first decision"),
        ("", f"its last decision {bad.to_last:.2f} s after the verdict; {bad.customers:,} customers declined by it"),
        ("decisions", f"{proof.sent:,} asked for, {proof.lost:,} lost or mixed, {proof.degraded:,} degraded"),
        ("ledger", proof.broken or f"{proof.stored:,} decisions as they were written"),
        ("latency p50, p99", "  ".join(f"{_percentile(toured, q):.1f} ms" for q in (50, 99))),
    )
    made = Table(box=None, pad_edge=False, show_header=False)
    for what, found in rows:
        made.add_row(Text(what, style="dim"), found)
    look = f"Look further: FRADECT_HOME={toured.home} fradect release history, or list, show, diff; reports/, evidence/"
    Console(highlight=False).print(
        Panel(Group(made, Text(), Text(look, style="dim")), title=title, title_align="left", padding=(1, 2))
    )


def _way(steps: Sequence[Step]) -> str:
    return ", ".join(step.name for step in steps)


def _recalls(toured: Toured) -> Iterator[float]:
    return (_value(one.metrics) for one in (toured.before, toured.after))


def _tried(toured: Toured) -> Iterator[float]:
    whole = toured.retrained.tried.numbers.whole
    return (_value(one) for one in (whole.champion, whole.candidate))


def _value(metrics: Mapping[str, Interval]) -> float:
    span = metrics.get("recall")
    return 0.0 if span is None else span.value


def _percentile(toured: Toured, percent: float) -> float:
    return float(np.percentile(toured.milliseconds, percent))


def figures(toured: Toured) -> Mapping[str, Any]:
    """Money in minor units."""
    whole = toured.retrained.tried.numbers.whole
    return {
        "home": str(toured.home),
        "sizes": asdict(toured.sizes),
        "first_champion": toured.first,
        "champion": toured.champion,
        "champion_changed": toured.champion != toured.first,
        "drift": {"calm": _drift(toured.calm), "after": _drift(toured.alert)},
        "quality": {"before": asdict(toured.before), "after": asdict(toured.after)},
        "backtest": {
            "release": toured.retrained.release_id,
            "events": whole.events,
            "changed": toured.retrained.tried.numbers.changed,
            "champion": {name: asdict(span) for name, span in whole.champion.items()},
            "candidate": {name: asdict(span) for name, span in whole.candidate.items()},
        },
        "trial": [asdict(step) for step in toured.steps],
        "sabotage": {
            **asdict(toured.sabotaged),
            "rolled_back": toured.sabotaged.after == toured.sabotaged.before,
        },
        "requests": {**asdict(toured.proof), "lost": toured.proof.lost},
        "p50_ms": _percentile(toured, 50),
        "p99_ms": _percentile(toured, 99),
        "ledger_verified": toured.proof.broken is None,
        "seconds": toured.seconds,
    }


def _drift(found: DriftFound) -> Mapping[str, Any]:
    verdict = found.verdict
    return {
        "answer": str(verdict.answer),
        "reason": verdict.reason,
        "columns": verdict.drifted,
        "page": str(found.page),
    }
