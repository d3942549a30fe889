"""Decisions as people look at them: one with its reasons, and what making them again came to."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from flows.decisions import Reproduced
from flows.fitting import counted
from flows.screen import leave_json, table
from fradect.outcomes import Shown
from fradect.reproduce import Difference

_LONGEST = 600  # signs of each side of a difference


def figures(found: Reproduced) -> dict[str, Any]:
    """For machines."""
    return {
        "decisions": found.decisions,
        "matched": found.matched,
        "differing": found.differing,
        "erased": found.erased,
        "unread": found.unread,
        "gone": {release: {"decisions": count, "reason": why} for release, (count, why) in found.gone.items()},
        "other_engines": {release: dict(others) for release, others in found.engines.items()},
        "seconds": round(found.seconds, 3),
        "examples": [_plain(difference) for difference in found.examples],
    }


def reproduced(console: Console, found: Reproduced, json: Path | None) -> None:
    """How many came out the same; both sides of the first that did not; what cannot be made again, and why."""
    leave_json(json, figures(found))
    per_second = found.decisions / max(found.seconds, 1e-9)
    rows = [
        ("decisions", f"{found.decisions:,}"),
        ("the same, byte for byte", f"{found.matched:,}"),
        ("different", f"{found.differing:,}"),
        ("of erased customers", f"{found.erased:,}"),
        ("a second", f"{per_second:,.0f}"),
    ]
    console.print(table("Made again", ("", ""), rows))
    for release, (count, why) in found.gone.items():
        console.print(Text(f"{counted(count, 'decision')} of {release} cannot be made again: {why}", style="red"))
    if found.unread:
        console.print(Text(f"{found.unread:,} decisions have no event in the ledger: verify its chain", style="red"))
    for release, others in found.engines.items():
        words = ", ".join(f"{name} {was} (here {now})" for name, (was, now) in others.items())
        console.print(Text(f"{release} was made with {words}", style="yellow"))
    for difference in found.examples:
        _both_sides(console, difference)


def shown_decision(console: Console, found: Shown) -> None:
    """Score and outcome, factors, the vector with what was missing, what was told of it since."""
    decision = found.kept.decision
    console.print(Text(f"{decision.action.name}, score {decision.score}: {decision.event_id}", style="bold"))
    console.print(
        f"{decision.decision_id} of {decision.tenant_id}, {_when(decision.decided_at)}, {decision.release_id}"
    )
    factors = [(factor.text, f"{factor.points:+d}", factor.source) for factor in decision.factors]
    console.print(table("Why", ("", "points", "from"), factors))
    for words, names in (("made without", decision.degraded), ("could not run", decision.could_not_run)):
        if names:
            console.print(Text(f"{words}: {', '.join(names)}", style="yellow"))
    missing = [(name, why) for name, why in decision.vector.missing.items()]
    if missing:
        console.print(table("Missing", ("feature", "why"), missing))
    told = [
        (one.outcome, _when(one.known_at), _when(one.told_at), one.origin, one.note or "")
        for one in found.standing.told
    ]
    if told:
        console.print(table("What it turned out to be", ("outcome", "known", "told", "by", "note"), told))


def _both_sides(console: Console, difference: Difference) -> None:
    console.print(Text(f"\n{difference.decision_id} differs", style="bold"))
    for part in difference.parts:
        console.print(Text(f"{part.column}\n  stored {part.stored[:_LONGEST]}\n  made   {part.made[:_LONGEST]}"))


def _plain(difference: Difference) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(difference)
    return plain


def _when(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")
