"""Tables held against their suites, with a page each under reports/."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow.dataset as ds

from expectations.check import check
from expectations.report import QualityReport
from expectations.rules import Suite
from flows.wiring import Workshop


def hold(shop: Workshop, suite: Suite, paths: Sequence[str]) -> QualityReport:
    """What the suite finds in these Parquet files, in order of sequence numbers."""
    table = ds.dataset(list(paths), format="parquet").to_table()
    return check(table.sort_by("seq"), suite, pages(shop))


def pages(shop: Workshop) -> Path:
    """The folder of Data Docs."""
    return shop.reports / "quality"
