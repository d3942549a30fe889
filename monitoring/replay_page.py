"""The report of a replay as a page: the answer, every feature, and both sides of each difference."""

from collections.abc import Sequence
from dataclasses import dataclass

from fradect.features.contract import Contract
from fradect.features.replay import ReplayReport
from fradect.features.replay_inputs import Entry, Inputs, moment
from monitoring.sheet import days, page, table, text

SHOWN = 12
"""Entries of an example that are listed: those that differ first."""

ABSENT = "not there"


@dataclass(frozen=True, slots=True)
class Played:
    """What was replayed, in words: `choice` says which events, `state` in what live state. `seconds`: it took."""

    module: str
    tenant: str
    contract: str
    choice: str
    state: str
    seconds: float


def replay_page(report: ReplayReport, played: Played, contract: Contract, inputs: Sequence[Inputs]) -> bytes:
    """One HTML file."""
    parts = [
        f'<h1>Replay: <span class="{"good" if report.equal else "bad"}">{text(answer(report))}</span></h1>',
        f"<p>{text(played.contract)} of {text(played.tenant)}: {text(played.choice)}.</p>",
        f"<p>{report.events:,} events in {played.seconds:.0f} s through {text(played.state)}.</p>",
        _summary(report),
        *(f'<p class="bad">{text(words)}</p>' for words in report.unmatched),
        "<h2>By day</h2>",
        days({day: events for day, (events, _) in report.by_day.items()}, "events compared", "#7aa6c9"),
    ]
    if report.mismatches:
        parts.append(days({day: wrong for day, (_, wrong) in report.by_day.items()}, "values that differ", "#b3261e"))
    parts += ["<h2>Examples</h2>"] if inputs else []
    parts += [_example(found) for found in inputs]
    return page(f"Replay of {played.contract}", [*parts, "<h2>Features</h2>", _features(report, contract)])


def answer(report: ReplayReport) -> str:
    if report.equal:
        return "live equals history to the last bit"
    return "live and history differ" if report.events or report.missing or report.extra else "nothing was replayed"


def listed(inputs: Inputs, most: int = SHOWN) -> list[Entry]:
    """Entries to show: those that differ, then the newest of the others, in order of time."""
    wrong = [i for i, entry in enumerate(inputs.entries) if entry.differs][-most:]
    alike = [i for i, entry in enumerate(inputs.entries) if not entry.differs]
    kept = sorted([*wrong, *alike[-(most - len(wrong)) :]]) if len(wrong) < most else wrong
    return [inputs.entries[i] for i in kept]


def _summary(report: ReplayReport) -> str:
    rows = [
        ("events compared", f"{report.events:,}"),
        ("values of each", f"{report.features:,}"),
        ("values that differ", f"{report.mismatches:,}"),
        ("events with such a value", f"{report.differing:,}"),
        ("events without a row in history", f"{report.missing:,}"),
        ("rows of history without an event", f"{report.extra:,}"),
    ]
    wrong = [i for i, (_, count) in enumerate(rows) if i > 1 and count != "0"]
    return table(("", ""), rows, wrong)


def _example(inputs: Inputs) -> str:
    example = inputs.example
    live, history = example.live[example.feature], example.history[example.feature]
    shown = listed(inputs)
    rows = [(entry.what, entry.live or ABSENT, entry.history or ABSENT) for entry in shown]
    marked = [i for i, entry in enumerate(shown) if entry.differs]
    left_out = len(inputs.entries) - len(shown)
    return (
        f"<h3>{text(example.feature)}</h3>"
        f"<p>Event {text(example.event.event_id)}, number {example.seq:,}, {moment(example.event.event_time)}: "
        f'<span class="bad">{live!r} live, {history!r} in history</span></p>'
        f"<p>{text(inputs.looked_at)}; {text(inputs.conclusion)}.</p>"
        + table(("looked at", "live", "history"), rows, marked)
        + (f'<p class="quiet">{left_out:,} more that are the same.</p>' if left_out else "")
    )


def _features(report: ReplayReport, contract: Contract) -> str:
    rows = [(f.name, f"{report.by_feature[f.name]:,}", f.kind.value) for f in contract]
    marked = [i for i, f in enumerate(contract) if report.by_feature[f.name]]
    return table(("feature", "differ", "kind"), rows, marked)
