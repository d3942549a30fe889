"""Ingest: files become canonical events in the log; what cannot goes to quarantine with its reason."""

from prefect import flow

from flows.moments import moment
from flows.progress import counted
from flows.progress import stage as announced
from flows.stage import stage
from flows.wiring.intake import ImportReport, bring_in


@stage()
def ingest(source: str, mapping: str, until: str | None = None, max_rejected: float = 0.05) -> ImportReport:
    """Import a file or folder; what was imported before is skipped."""
    with announced("ingest") as result:
        report = bring_in(source, mapping, moment("until", until), max_rejected)
        result.words = in_words(report)
    return report


def in_words(report: ImportReport) -> str:
    if report.files == report.skipped:
        return f"all {report.skipped} files were imported before"
    said = f"{report.accepted:,} of {report.rows:,} rows into {report.tenant}, {report.rejected:,} rejected"
    said += f", {report.held_back:,} held back" if report.held_back else ""
    return said + (f" ({counted(report.by_reason)}; see {report.quarantine})" if report.rejected else "")


ingest_flow = flow(name="ingest", log_prints=True)(ingest)
