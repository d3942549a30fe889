"""The drift report as a page: the answer in words on top of what Evidently draws, loading nothing."""

import html
from collections.abc import Sequence

from monitoring.verdict import Answer, ColumnDrift, DriftVerdict

_POLICY = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline' "
    "'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:\">"
)
_STYLE = """<style>
.fradect { font: 15px/1.5 system-ui, sans-serif; color: #1c2733; background: #fff; padding: 20px 32px }
.fradect h1 { font-size: 24px; margin: 0 } .fradect h2 { font-size: 16px; margin: 18px 0 4px }
.fradect table { border-collapse: collapse; margin: 8px 0 }
.fradect td, .fradect th { padding: 4px 14px 4px 0; text-align: right; border-bottom: 1px solid #e3e8ed }
.fradect td:first-child, .fradect th:first-child { text-align: left }
.fradect .drifted { color: #b3261e; font-weight: 600 } .fradect .drift { color: #b3261e }
.fradect .quiet { color: #1b7a3d } .fradect .unknown { color: #8a5a00 }
</style>"""
SHOWN = 8
"""Columns that are listed even when nothing drifted."""

_COLOURS = {Answer.DRIFT: "drift", Answer.NO_DRIFT: "quiet", Answer.NOT_ENOUGH_DATA: "unknown"}


def page_of(verdict: DriftVerdict, drawn: str) -> bytes:
    """Evidently's page with the verdict above it."""
    titled = drawn.replace("<head>", f"<head>{_head()}", 1)
    return titled.replace("<body>", f"<body>{_summary(verdict)}", 1).encode()


def short_page(verdict: DriftVerdict) -> bytes:
    """The verdict alone, where there is nothing to draw."""
    return f"<!DOCTYPE html><html><head>{_head()}</head><body>{_summary(verdict)}</body></html>".encode()


def _head() -> str:
    return f'<meta charset="utf-8"><title>Drift</title>{_POLICY}{_STYLE}'


def _summary(verdict: DriftVerdict) -> str:
    answer = f'<h1>Drift report: <span class="{_COLOURS[verdict.answer]}">{verdict.answer}</span></h1>'
    rows = f"{verdict.rows_current:,} live events against {verdict.rows_reference:,} of the training reference."
    parts = [answer, f"<p>{html.escape(verdict.reason)}.</p>", f"<p>{rows} {_money(verdict)}</p>"]
    if verdict.columns:
        parts += ["<h2>Columns, those furthest beyond their limit first</h2>", *_tables(verdict)]
    if verdict.not_compared:
        items = "".join(f"<li>{html.escape(f'{name}: {why}')}</li>" for name, why in verdict.not_compared.items())
        parts += ["<h2>Not compared</h2>", f"<ul>{items}</ul>"]
    if verdict.columns:
        parts.append("<p>Below, a click opens a column; its button <i>perc</i> shows shares instead of counts.</p>")
    return f'<div class="fradect">{"".join(parts)}</div>'


def _money(verdict: DriftVerdict) -> str:
    if verdict.money_affected is None or verdict.answer is not Answer.DRIFT:
        return ""
    return f"{verdict.money_affected:.1%} of the money lies where the reference's money did not."


def _tables(verdict: DriftVerdict) -> list[str]:
    """What drifted or came near it; the rest behind a click."""
    first = max(len(verdict.drifted), SHOWN)
    rest = verdict.columns[first:]
    shown = [_table(verdict.columns[:first])]
    return [*shown, f"<details><summary>{len(rest)} more</summary>{_table(rest)}</details>"] if rest else shown


def _table(columns: Sequence[ColumnDrift]) -> str:
    titles = ("column", "index (PSI)", "limit", "missing then", "missing now", "money moved", "drift")
    head = "".join(f"<th>{title}</th>" for title in titles)
    return f"<table><tr>{head}</tr>{''.join(map(_row, columns))}</table>"


def _row(column: ColumnDrift) -> str:
    cells = (
        html.escape(column.name),
        f"{column.value:.3f}",
        f"{column.threshold:.3f}",
        f"{column.missing_reference:.1%}",
        f"{column.missing_current:.1%}",
        f"{column.money_moved:.1%}" if column.drifted and column.money_moved is not None else "",
        "yes" if column.drifted else "no",
    )
    style = ' class="drifted"' if column.drifted else ""
    return f"<tr{style}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
