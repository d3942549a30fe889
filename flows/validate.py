"""Validate: expectations over events and outcomes. A critical failure stops the run, its rows summarised."""

from expectations import events, labels
from expectations.report import require
from flows.progress import advance
from flows.progress import stage as announced
from flows.quality import hold, pages
from flows.stage import stage
from flows.wiring import workshop


@stage()
def validate(module: str, tenant: str) -> None:
    """Hold the log against its suites; Data Docs are written under reports/."""
    with announced("validate") as result:
        shop = workshop(module, tenant)
        suites = {
            "events": (events.suite(shop.module, shop.contract), shop.places.events()),
            "labels": (labels.suite(), shop.places.outcomes()),
        }
        reports = []
        for i, (name, (suite, paths)) in enumerate(suites.items()):
            advance(i, len(suites), f"{name}: {len(suite.rules)} expectations")
            if paths:
                reports.append(hold(shop, suite, paths))
        require(*reports)
        warnings = sum(len(report.warnings) for report in reports)
        held = sum(report.expectations for report in reports)
        result.words = f"{held} expectations held, {warnings} warnings; {pages(shop)}"
