"""Data Docs that open without a network: pages as Great Expectations renders them, without what they would load.

The originals fetch style sheets, scripts and a logo from eight hosts. All of that is cut out, a small style sheet
takes its place, and a content security policy keeps values that look like markup from loading or doing anything.
"""

import html
import json
import re
from pathlib import Path

from expectations.report import QualityReport, in_words

_CUT = re.compile(
    r"<script\b.*?</script>|<link\b[^>]*>|<footer\b.*?</footer>"
    r"|<nav class=\"navbar navbar-expand-md.*?</nav>\s*</div>\s*</nav>"
    r"|<div class=\"card mb-3\">.*?(?=<div class=\"card d-md-block)"
    r"|@media \(prefers-color-scheme: dark\).*?(?=</style>)",
    re.DOTALL,
)
_TITLE = re.compile(r"<title>.*?</title>")
_OVERVIEW = re.compile(r'<a href="[^"]*expectations/[^"]*"\s*>([^<]*)</a><br> Data asset: None')

_POLICY = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
_STYLE = """<style>
body { margin: 0; font: 15px/1.45 system-ui, sans-serif; color: #1c2733; background: #fff }
h1 { font-size: 22px } h4 { margin: 0 } h5 { font-size: 17px } a { color: #1557b0; text-decoration: none }
.verdict { padding: 16px 24px; border-bottom: 1px solid #d5dbe1 } .verdict li { margin: 4px 0 }
.container-fluid { padding: 8px 16px } .row { display: flex; flex-wrap: wrap } .col-12 { width: 100% }
.col-6 { width: 50% } .col-md-2 { width: 17% } .col-md-10 { width: 81% }
.ge-section .row .ml-2 { width: 100% } .sticky { top: 12px !important } nav ul { list-style: none; padding-left: 0 }
.alert { background: #eef2f6; padding: 8px 12px; border-radius: 4px } .alert h5 { margin: 0 }
table { border-collapse: collapse; width: 100%; margin: 6px 0 } td table { width: auto }
td, th { text-align: left; vertical-align: top; padding: 5px 10px; border-bottom: 1px solid #e3e8ed }
.ge-section td:first-child { width: 9em } td td:first-child { width: auto }
.badge { background: #dde5ee; border-radius: 3px; padding: 0 5px; font-family: ui-monospace, monospace }
.text-danger, .failed { color: #b3261e } .text-success, .passed { color: #1b7a3d } .warned { color: #8a5a00 }
.fas { font-style: normal; font-weight: 700 } .fa-check-circle::before { content: "\\2713  met" }
.fa-times::before { content: "\\2717  not met" } .fa-exclamation-triangle::before { content: "! not run" }
</style>"""


def write_page(page: Path, rendered: str, report: QualityReport) -> None:
    """The page, the report as JSON beside it, and an index of all suites that have a report in the folder."""
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(offline(rendered, report), encoding="utf-8")
    page.with_suffix(".json").write_bytes(report.to_json())
    (page.parent / "index.html").write_text(_index(page.parent), encoding="utf-8")


def offline(rendered: str, report: QualityReport) -> str:
    """A rendered page that loads nothing, with what the suite found in words at its top."""
    title = f"<title>Data quality: {report.suite}</title>{_POLICY}{_STYLE}"
    text = _TITLE.sub("", _CUT.sub("", rendered))
    text = _OVERVIEW.sub(r"\1<br>", text)
    text = text.replace("<head>", f'<head><meta charset="utf-8">{title}', 1)
    return text.replace("<body>", f"<body>{_verdict(report)}", 1)


def _verdict(report: QualityReport) -> str:
    items = [
        f'<li class="{"failed" if failure in report.critical else "warned"}">{failure.severity}: '
        f"{html.escape(in_words(failure, report.row_id))}</li>"
        for failure in report.failures
    ]
    outcome = _outcome(report.success, len(report.failures))
    size = f"{report.rows:,} rows, {report.expectations} expectations"
    home = '<a href="index.html">all suites</a>'
    return (
        f'<div class="verdict"><h1>{report.suite}: {outcome}</h1><p>{size} ({home})</p><ul>{"".join(items)}</ul></div>'
    )


def _outcome(success: bool, failures: int) -> str:
    if not success:
        return '<span class="failed">stopped</span>'
    return '<span class="warned">passed, with warnings</span>' if failures else '<span class="passed">passed</span>'


def _index(folder: Path) -> str:
    rows = []
    for path in sorted(folder.glob("*.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        outcome = _outcome(report["success"], len(report["failures"]))
        link = f'<a href="{path.stem}.html">{html.escape(report["suite"])}</a>'
        rows.append(f"<tr><td>{link}</td><td>{outcome}</td><td>{report['rows']:,} rows</td></tr>")
    head = f'<!DOCTYPE html><html><head><meta charset="utf-8"><title>Data quality</title>{_POLICY}{_STYLE}</head>'
    return f'{head}<body><div class="verdict"><h1>Data quality</h1><table>{"".join(rows)}</table></div></body></html>'
