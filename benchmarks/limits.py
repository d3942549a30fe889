"""What a benchmark must hold: each figure beside its limit, said and judged the same way everywhere."""

from collections.abc import Collection, Mapping

from rich.console import Console


def held(
    results: Mapping[str, float],
    limits: Mapping[str, float],
    console: Console,
    *,
    at_least: Collection[str] = (),
    goals: Mapping[str, float] | None = None,
) -> bool:
    """Whether every limit holds; figures `at_least` must reach theirs, the others must not exceed it."""
    all_hold = True
    for name, limit in limits.items():
        holds = results[name] >= limit if name in at_least else results[name] <= limit
        goal = f", goal {goals[name]:g}" if goals else ""
        console.print(f"{name}: {results[name]:,.2f} (limit {limit:g}{goal}) {'holds' if holds else 'BROKEN'}")
        all_hold &= holds
    return all_hold
