"""A backtest as a page: one HTML file that loads nothing."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from flows.backtest import Backtested
from flows.backtest_screen import TITLES, declines, grid, headline, load, measures, share, stored_lines
from fradect.money import exponent_of
from monitoring.charts import COLOURS, Said, Span, bars, lines, spans
from monitoring.sheet import page, table, text
from training.backtest import MEASURES, Part
from training.bootstrap import Interval
from training.card import money

SLICES = 40
RULES = 30
_SIDES = ("champion", "candidate")


def page_of(found: Backtested) -> bytes:
    """Figures, charts, rules, slices, fairness and the changes of the largest amounts."""
    whole = found.numbers.whole
    parts = [
        f"<h1>Backtest: {text(headline(found))}</h1>",
        f"<p>{text(_period(found))}</p>",
        *(f'<p class="quiet">{text(note)}</p>' for note in found.notes),
        *_stored(found),
        "<h2>Decisions</h2>",
        "<p>Rows: what the champion decides. Columns: what the candidate decides.</p>",
        table(("champion", "APPROVE", "REVIEW", "DECLINE"), list(grid(found))),
        f"<h2>What it is worth</h2><p>{whole.matured:,} events whose label has matured, {whole.frauds:,} fraud. "
        "In brackets: 95 % interval, customers drawn anew.</p>",
        table(("", "champion", "candidate", "candidate less champion"), list(measures(found))),
        *_charts(found),
        *_declines(found),
        "<h2>Reviews by day</h2>",
        f"<p>{text(load(found))}.</p>",
        lines(_loads(found), "events to review, a day", lambda value: f"{value:,.0f}"),
        *_rules(found),
        *_slices(found),
        *_fairness(found),
        *_differences(found),
        *_changes(found),
    ]
    return page(f"Backtest of {found.release_id}", parts)


def _period(found: Backtested) -> str:
    first, last = (_moment(at) for at in (found.numbers.first, found.numbers.last))
    return f"{found.module} of {found.tenant}: {found.numbers.whole.events:,} events, {first} to {last}."


def _stored(found: Backtested) -> Iterator[str]:
    if found.stored is not None:
        look = "good" if found.stored.proven else "bad"
        yield from (f'<p class="{look}">{text(line)}.</p>' for line in stored_lines(found))


def _declines(found: Backtested) -> Iterator[str]:
    if found.declined:
        yield "<h2>Declines, by what was let through by chance</h2>"
        yield (
            "<p>Each decline that was let through stands for one over its chance (Horvitz and Thompson). In brackets: "
            "95 % interval, Wilson's and Poisson's at the effective number of customers.</p>"
        )
        yield table(("", "champion", "candidate"), list(declines(found)))


def _charts(found: Backtested) -> Iterator[str]:
    """Each measure on an axis of its own, both releases and their intervals."""
    whole = found.numbers.whole
    for name in MEASURES:
        sides = ((side, getattr(whole, side).get(name)) for side in _SIDES)
        rows = [_span(side, span, i) for i, (side, span) in enumerate(sides) if span is not None]
        yield spans(rows, f"{TITLES[name]}, {_unit(name, found.currency)}", _said(name, found.currency))


def _span(label: str, span: Interval, colour: int) -> Span:
    return Span(label, span.value, span.low, span.high, COLOURS[colour])


def _unit(name: str, currency: str) -> str:
    return currency if name == "money_saved" else "%"


def _said(name: str, currency: str) -> Said:
    if name == "money_saved":
        scale = 10 ** exponent_of(currency)
        return lambda value: f"{value / scale:,.0f}"
    return lambda value: f"{100 * value:.2f}"


def _loads(found: Backtested) -> Mapping[str, Mapping[int, float]]:
    return {side: {day.midnight: float(getattr(day, side)) for day in found.numbers.days} for side in _SIDES}


def _rules(found: Backtested) -> Iterator[str]:
    yield "<h2>Rules</h2>"
    yield (
        "<p>Precision: share of fraud among a rule's hits whose label has matured. Alone: events whose outcome would "
        "be another without the rule, and what that saved.</p>"
    )
    ours = {rule.rule: rule for rule in found.rules["candidate"]}
    theirs = {rule.rule: rule for rule in found.rules["champion"]}
    names = [name for name in dict.fromkeys([*ours, *theirs]) if (ours.get(name) or theirs[name]).hits][:RULES]
    rows = []
    for name in names:
        both = [one.get(name) for one in (theirs, ours)]
        cells = [f"{one.hits:,}" if one else "no rule" for one in both]
        cells += [share(one.precision) if one else "" for one in both]
        cells += [f"{one.alone:,}" if one else "" for one in both]
        rows.append((name, *cells, money(both[1].alone_money, found.currency) if both[1] else ""))
    twice = [f"{what}, {side}" for what in ("hits", "precision", "alone") for side in _SIDES]
    yield table(("rule", *twice, "saved alone, candidate"), rows)
    alone = [(name, float(ours[name].alone)) for name in names if name in ours and ours[name].alone]
    yield bars(alone, "blast radius of the candidate's rules, events", lambda value: f"{value:,.0f}")


def _slices(found: Backtested) -> Iterator[str]:
    yield "<h2>Slices</h2>"
    chosen = [part for part in found.numbers.parts if "money_saved" in part.change and part.matured]
    currency = found.currency
    rows = [_span(f"{part.by}: {part.part}", part.change["money_saved"], 0) for part in chosen[:SLICES]]
    yield spans(
        rows, f"money saved by the candidate less by the champion, {currency}", _said("money_saved", currency), True
    )
    titles = [f"{what}, {side}" for what in ("recall", "false-positive rate") for side in _SIDES]
    yield table(("slice", "events", "fraud", *titles), [_slice(part) for part in chosen])


def _slice(part: Part) -> tuple[str, ...]:
    cells = [_percent(getattr(part, side).get(name)) for name in ("recall", "false_positive_rate") for side in _SIDES]
    return (f"{part.by}: {part.part}", f"{part.events:,}", f"{part.frauds:,}", *cells)


def _percent(span: Interval | None) -> str:
    return "" if span is None else f"{100 * span.value:.2f} %"


def _fairness(found: Backtested) -> Iterator[str]:
    yield "<h2>Fairness</h2>"
    groups = {side: {(g.attribute, g.name): g for g in tables.groups} for side, (tables, _) in found.fairness.items()}
    if not groups or not groups["candidate"]:
        yield "<p>The data says nothing of any protected attribute.</p>"
        return
    for side, (_, verdict) in found.fairness.items():
        look = "good" if verdict.passed else "bad"
        yield f'<p>{side}: <span class="{look}">{text(verdict.result)}</span>, {text(verdict.reason)}.</p>'
    rows = []
    for key, ours in groups["candidate"].items():
        both = (groups["champion"][key], ours)
        cells = [share(one.false_positive_rate) for one in both] + [share(one.true_positive_rate) for one in both]
        rows.append((f"{key[0]}: {key[1]}", f"{ours.events:,}", *cells))
    titles = [f"{what} flagged, {side}" for what in ("honest", "fraud") for side in _SIDES]
    yield table(("group", "events", *titles), rows)


def _differences(found: Backtested) -> Iterator[str]:
    yield "<h2>How the releases differ</h2>"
    rows = [(one.part, one.what, one.was or "not there", one.now or "not there") for one in found.differences]
    yield table(("part", "what", "champion", "candidate"), rows) if rows else "<p>In nothing.</p>"


def _changes(found: Backtested) -> Iterator[str]:
    rows = found.examples.to_pylist()
    yield f"<h2>Events decided otherwise</h2><p>{found.wanted:,}; those of the largest amounts:</p>"
    yield table(
        ("event", "time (UTC)", "amount", "champion", "candidate", "fraud", "because of", "reason"),
        [
            (
                row["event_id"],
                f"{row['event_time']:%Y-%m-%d %H:%M}",
                money(row["amount_base"] or 0, found.currency),
                row["champion"],
                row["candidate"],
                _known(row["fraud"]),
                row["cause"],
                row["reason"],
            )
            for row in rows
        ],
    )


def _known(fraud: bool | None) -> str:
    return "not known yet" if fraud is None else "yes" if fraud else "no"


def _moment(micros: int) -> str:
    return f"{datetime.fromtimestamp(micros / 1e6, UTC):%Y-%m-%d %H:%M}"
