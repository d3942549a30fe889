"""Holds a table against a suite: the only door to Great Expectations.

Rules that read the same columns are validated together over a frame of just these columns, because that package
copies all of the frame it is given for every expectation: over 1.75 million events, seconds instead of minutes.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe
import numpy as np
import pandas as pd
import pyarrow as pa
from great_expectations.core import ExpectationSuiteValidationResult, RunIdentifier
from great_expectations.render.renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaPageView
from great_expectations.validator.v1_validator import Validator

from expectations.pages import write_page
from expectations.report import Failure, QualityReport
from expectations.rules import Rule, Severity, Suite
from expectations.tables import Subject

# It tells of a folder it made and removed again, for pages that are not its to write, each time it is called.
logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)

SHOWN = 5
"""Examples that a failure keeps."""


def check(table: "pd.DataFrame | pa.Table", suite: Suite, docs: Path | None = None) -> QualityReport:
    """What the suite finds in the table, in the order of its rows; `docs`: the folder that gets its page.

    Of an Arrow table only the columns of one rule at a time become pandas: large ones are best given as such.
    """
    subject, batches = Subject(table, suite), _batch_definition(suite)
    found = [pair for rules in _together(subject) for pair in _validate(subject, rules, batches)]
    failures = _worst_first(_failure(rule, result, subject) for rule, result in found if not result.success)
    page = docs / f"{suite.name}.html" if docs else None
    shown = str(page) if page else None
    report = QualityReport(suite.name, suite.row_id, len(subject), len(found), failures, shown)
    if page:
        write_page(page, _render(suite, [result for _, result in found]), report)
    return report


def _worst_first(failures: Iterable[Failure]) -> tuple[Failure, ...]:
    return tuple(sorted(failures, key=lambda f: (f.severity is not Severity.CRITICAL, -f.share, f.column)))


def _batch_definition(suite: Suite) -> Any:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("pandas").add_dataframe_asset(suite.name)
    return asset.add_batch_definition_whole_dataframe("all")


def _together(subject: Subject) -> list[list[Rule]]:
    """Rules that can be checked, grouped by what they read."""
    groups: dict[tuple[tuple[str, ...], bool], list[Rule]] = {}
    for rule in filter(subject.can_check, subject.suite.rules):
        groups.setdefault((rule.columns, rule.sampled), []).append(rule)
    return list(groups.values())


def _validate(subject: Subject, rules: Sequence[Rule], batches: Any) -> list[tuple[Rule, Any]]:
    """Each rule of a group with its result. The index of a rule travels in `meta`: results come in any order.

    `Validator` is what a ValidationDefinition runs; a Batch's own `validate` would fingerprint the frame twice.
    """
    narrow = {"dataframe": subject.read(rules[0])}
    expected = gx.ExpectationSuite(subject.suite.name, [_expectation(rule, i) for i, rule in enumerate(rules)])
    wanted = {"result_format": "SUMMARY", "partial_unexpected_count": SHOWN}
    results = Validator(batches, wanted, narrow).validate_expectation_suite(expected).results
    pairs = [(rules[result.expectation_config.meta["rule"]], result) for result in results]
    for rule, result in pairs:
        _prepare(result.result, rule)
    return pairs


def _prepare(found: dict[str, Any], rule: Rule) -> None:
    """For showing: Python's numbers, since Data Docs cannot read numpy 2's, and no value that is private."""
    observed = found.get("observed_value")
    if isinstance(observed, np.generic):
        found["observed_value"] = observed.item()
    if rule.private:
        for shown in ("partial_unexpected_list", "partial_unexpected_counts"):
            found.pop(shown, None)


def _expectation(rule: Rule, index: int) -> Any:
    tolerance = {"mostly": 1.0 - rule.tolerated} if rule.tolerated else {}
    kind = getattr(gxe, rule.expect)
    return kind(**rule.arguments, **tolerance, severity=rule.severity.value, meta={"rule": index})


def _failure(rule: Rule, result: Any, subject: Subject) -> Failure:
    found = result.result
    error = _error(result.exception_info)
    rows = int(found.get("element_count", len(subject)))
    count = int(found.get("unexpected_count", 0))
    examples = subject.ids(found.get("partial_unexpected_index_list") or [])
    observed = f" (observed: {found['observed_value']})" if "observed_value" in found else ""
    wording = f"could not be checked: {error}" if error else rule.fault + observed
    return Failure(rule.name, wording, rule.severity, count, rows, count / max(rows, 1), examples)


def _error(exceptions: Mapping[str, Any]) -> str:
    """Why an expectation could not run, in one line; it counts as failed."""
    nested = [e for e in exceptions.values() if isinstance(e, Mapping)] or [exceptions]
    messages = [str(e["exception_message"]) for e in nested if e.get("exception_message")]
    return messages[0].splitlines()[0] if messages else ""


def _render(suite: Suite, results: Sequence[Any]) -> str:
    """One page over all groups, as if they had been validated together."""
    good = sum(bool(result.success) for result in results)
    statistics = {
        "evaluated_expectations": len(results),
        "successful_expectations": good,
        "unsuccessful_expectations": len(results) - good,
        "success_percent": 100.0 * good / max(len(results), 1),
    }
    whole = ExpectationSuiteValidationResult(
        success=good == len(results),
        results=list(results),
        suite_name=suite.name,
        suite_parameters={},
        statistics=statistics,
        meta={"run_id": RunIdentifier(run_time=datetime.now(UTC)), "great_expectations_version": gx.__version__},
    )
    page: str = DefaultJinjaPageView().render(ValidationResultsPageRenderer(run_info_at_end=True).render(whole))
    return page
