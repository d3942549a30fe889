"""Drift as Evidently shows it: the only door to that package.

Evidently runs our statistic with our limits (monitoring/psi.py says why) and draws every column; the verdict
holds the same figures.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.legacy.calculations.stattests.registry import StatTest, register_stattest
from evidently.legacy.core import ColumnType
from evidently.presets import DataDriftPreset

from fradect.features.contract import Contract
from monitoring.compare import Comparison, compare, judge, thin
from monitoring.page import page_of, short_page
from monitoring.psi import stability_index
from monitoring.verdict import DriftSettings, DriftVerdict, too_little


@dataclass(frozen=True, slots=True)
class DriftReport:
    """`html`: one page that needs nothing but itself. `verdict`: the same as values."""

    html: bytes
    verdict: DriftVerdict


def drift(
    reference: pd.DataFrame, current: pd.DataFrame, contract: Contract, settings: DriftSettings | None = None
) -> DriftReport:
    """Compare live traffic with what a release was trained on.

    Both frames hold the contract's features as float64 (NaN: missing) and, where known, `probability` or `score`,
    `action`, `amount_base`, and `event_time` (datetime, or microseconds). A feature the traffic lacks is missing
    in every row; one that the reference lacks is InvalidInput.
    """
    settings = settings or DriftSettings()
    if min(len(reference), len(current)) < settings.least_rows:
        verdict = too_little(len(reference), len(current), settings)
        return DriftReport(short_page(verdict), verdict)
    thinned = (thin(reference, settings.most_rows), thin(current, settings.most_rows))
    comparison = compare(*thinned, contract, settings)
    verdict = judge(comparison, settings)
    return DriftReport(page_of(verdict, _drawn(comparison, verdict)), verdict)


def _drawn(comparison: Comparison, verdict: DriftVerdict) -> str:
    """Evidently's page: every column with its distributions, its index and whether that is drift."""
    names = [column.name for column in verdict.columns]
    preset = DataDriftPreset(
        columns=names,
        method=STATISTIC.name,
        drift_share=1 / len(names),  # as for the verdict, one drifted column is drift
        per_column_threshold={column.name: column.threshold for column in verdict.columns},
    )
    then, now = (_dataset(comparison, side) for side in ("reference", "current"))
    html: str = Report([preset]).run(now, then).get_html_str(as_iframe=False)
    return html


def _dataset(comparison: Comparison, side: str) -> Dataset:
    """Each column as the words of its bins, so that what is drawn is what was compared."""
    words = {binned.name: np.array(binned.labels, object)[getattr(binned, side)] for binned in comparison.columns}
    return Dataset.from_pandas(pd.DataFrame(words), data_definition=DataDefinition(categorical_columns=list(words)))


def _index(
    reference: "pd.Series[str]", current: "pd.Series[str]", _kind: ColumnType, threshold: float
) -> tuple[float, bool]:
    words = sorted({*reference.unique(), *current.unique()})
    then, now = (
        np.asarray(sample.value_counts().reindex(words, fill_value=0), np.int64) for sample in (reference, current)
    )
    value = float(stability_index(then, now))
    return value, value >= threshold


STATISTIC = StatTest("fradect_psi", "population stability index", [ColumnType.Categorical])
register_stattest(STATISTIC, _index)
