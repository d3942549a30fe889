"""The report of a check of logged vectors as a page."""

from monitoring.sheet import page, table, text
from monitoring.skew import SkewReport

COLUMNS = ("feature", "checked", "mismatch", "missing", "extra", "excused")


def skew_page(report: SkewReport, what: str) -> bytes:
    """`what`: whose decisions of when, in words."""
    verdict = "every logged vector equals history's" if report.equal else "logged vectors and history differ"
    if not report.decisions:
        verdict = "no decision to compare"
    figures = report.figures
    rows = [("decisions compared", f"{report.decisions:,}"), ("of them declared degraded", f"{report.degraded:,}")]
    rows += [(name, f"{count:,}") for name, count in figures.items()]
    rows += [
        ("events that history has not", f"{report.unmatched:,}"),
        ("under another number", f"{report.renumbered:,}"),
        ("that overtook an import, and differ by it", f"{report.overtook:,}"),
    ]
    parts = [
        f'<h1>Skew: <span class="{"good" if report.equal else "bad"}">{text(verdict)}</span></h1>',
        f"<p>{text(what)}</p>",
        table(("", ""), rows),
    ]
    if report.declared:
        declared = [(reason, f"{count:,}") for reason, count in report.declared.items()]
        parts += ["<h2>Declared by decisions, and excused</h2>", table(("without", "decisions"), declared)]
    if report.not_compared:
        parts += ["<h2>Not compared</h2>", table(("feature", "why"), list(report.not_compared.items()))]
    if report.examples:
        found = [(one.event_id, one.feature, repr(one.logged), repr(one.history)) for one in report.examples]
        parts += ["<h2>Examples</h2>", table(("event", "feature", "logged", "history"), found)]
    return page("Skew", [*parts, "<h2>Features</h2>", _features(report)])


def _features(report: SkewReport) -> str:
    rows, marked = [], []
    for i, (name, found) in enumerate(report.by_feature.items()):
        counts = (found.checked, found.mismatch, found.missing, found.extra, found.excused)
        rows.append((name, *(f"{count:,}" for count in counts)))
        if found.mismatch or found.missing or found.extra:
            marked.append(i)
    return table(COLUMNS, rows, marked)
