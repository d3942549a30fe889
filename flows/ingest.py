"""Ingest: files become canonical events in the log; what cannot goes to quarantine with its reason."""

from datetime import UTC, datetime

from prefect import flow

from flows.progress import stage as announced
from flows.stage import stage
from flows.wiring.intake import ImportReport, bring_in
from fradect.errors import InvalidInput


@stage()
def ingest(source: str, mapping: str, until: str | None = None, max_rejected: float = 0.05) -> ImportReport:
    """Import a file or folder; what was imported before is skipped."""
    with announced("ingest") as result:
        report = bring_in(source, mapping, moment("until", until), max_rejected)
        result.words = (
            f"{report.accepted:,} of {report.rows:,} rows into {report.tenant}, {report.rejected:,} rejected"
            + (f", {report.held_back:,} held back" if report.held_back else "")
            if report.files > report.skipped
            else f"all {report.skipped} files were imported before"
        )
    return report


def moment(option: str, text: str | None) -> int | None:
    """Microseconds of a day or moment in ISO 8601; without an offset it is UTC."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"--{option} {text!r}: give a moment, 2018-09-01T12:00:00Z", field=option) from error
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return int(at.timestamp()) * 1_000_000 + at.microsecond


ingest_flow = flow(name="ingest", log_prints=True)(ingest)
