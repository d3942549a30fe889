"""Validate: expectations over events and outcomes. A critical failure stops the run, its rows summarised."""

import pandas as pd
import pyarrow.dataset as ds
from prefect import flow

from expectations import events, labels
from expectations.check import check
from expectations.report import QualityReport, require
from flows.progress import advance
from flows.progress import stage as announced
from flows.stage import stage
from flows.wiring import workshop


@stage()
def validate(module: str, tenant: str) -> None:
    """Hold the log against its suites; Data Docs are written under reports/."""
    with announced("validate") as result:
        shop = workshop(module, tenant)
        docs = shop.reports / "quality"
        suites = (
            (events.suite(shop.module, shop.contract), shop.places.events()),
            (labels.suite(), shop.places.outcomes()),
        )
        reports: list[QualityReport] = []
        for i, (suite, paths) in enumerate(suites):
            advance(i, len(suites), f"{suite.name}: {len(suite.rules)} expectations")
            if paths:
                reports.append(check(_frame(paths), suite, docs))
        require(*reports)
        warnings = sum(len(report.warnings) for report in reports)
        result.words = f"{sum(r.expectations for r in reports)} expectations held, {warnings} warnings; {docs}"


def _frame(paths: list[str]) -> pd.DataFrame:
    frame: pd.DataFrame = ds.dataset(paths, format="parquet").to_table().sort_by("seq").to_pandas()
    return frame


validate_flow = flow(name="validate", log_prints=True)(validate)
