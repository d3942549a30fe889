"""Metrics in a registry of their own. Labels take values from small closed sets only."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from fradect.jobs import Tally
from fradect.outcomes import Outcome
from fradect.ports import Measurement
from fradect.reconcile import Repaired
from fradect.types import Decision

_SECONDS = (0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
_STEPS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.3)

_OfWorkers = Literal["livemin", "livemax", "livesum"]  # what several workers' gauges come to

disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series and nobody asks for them

# Figures of batch work: name of the measurement, which is the metric's, and its help text.
MEASURED = {
    "fradect_false_positive_rate": "Share of honest events that were declined, of those whose outcome is known.",
    "fradect_fraud_prevented_amount_total": "Confirmed fraud that was declined, minor units of the base currency.",
    "fradect_skew_checked": "Logged feature values that the last daily check recomputed from the log.",
    "fradect_skew_mismatches": "Of these, values that differ from history's.",
    "fradect_skew_missing": "Of these, values that the service had not although history has, undeclared.",
    "fradect_skew_extra": "Of these, values that the service had although history has none.",
    "fradect_customer_lifetime_value_protected": "Expected yearly margin of customers that fraud was kept from.",
    "fradect_stream_lag": "Messages that wait in a partition of a stream, or files in a folder.",
}
_MEASURED_LABELS = {"fradect_stream_lag": ("topic", "partition")}  # of the others the module


class Metrics:
    """What the service counts.

    `shared`: a folder in which every worker of the service keeps its counts, so that each can show them all; None
    for a service of one process. prometheus_client must have been imported with PROMETHEUS_MULTIPROC_DIR set to it.
    """

    def __init__(self, shared: Path | None = None) -> None:
        self._shared = shared
        if shared is not None:
            forget_the_dead(shared)
        self.registry = CollectorRegistry()
        self._requests = self._counter("fradect_requests_total", "Decisions made.", "module", "decision")
        self._repeated = self._counter("fradect_requests_repeated_total", "Answers given again.", "module")
        self._pairs = self._counter(
            "fradect_pairs_total",
            "Events that champion and challenger both judged, by how they compare.",
            "module",
            "result",
        )
        self._errors = self._counter("fradect_request_errors_total", "Requests refused or failed.", "type")
        self._predictions = self._counter(
            "fradect_model_predictions_total", "Models asked, and whether they answered.", "model", "outcome"
        )
        self._degraded = self._counter(
            "fradect_degraded_total", "Decisions made without a part, by what they were made without.", "module", "what"
        )
        self._outcomes = self._counter("fradect_outcomes_total", "Outcomes told, corrections too.", "outcome")
        self._repairs = self._counter(
            "fradect_state_repairs_total", "Events by which live state and SQL differed, put right.", "module", "kind"
        )
        self._duration = self._histogram(
            "fradect_requests_duration_seconds", "From the request's arrival to its answer.", _SECONDS, "module"
        )
        self._features = self._histogram(
            "fradect_feature_extraction_duration_seconds", "Live state and snapshots read, for one event.", _STEPS
        )
        self._ready = self._gauge("fradect_ready", "1 when every champion decides.", "livemin")
        self._refused = self._gauge("fradect_releases_refused", "Champions that do not load: another decides.")
        self._unverified = self._gauge(
            "fradect_release_unverified_seconds",
            "For how long a release that decides could not be verified; after seven days its rules decide alone.",
        )
        self._left_alone = self._gauge("fradect_breaker_open", "1 while it is not asked.", "livemax", "what")
        self._limit = self._gauge("fradect_requests_limit", "So many are decided at once.", "livesum")
        self._unconfirmed = self._gauge(
            "fradect_state_unconfirmed", "Arrivals whose event is not stored yet.", "livemax", "module"
        )
        self._webhooks = self._counter(
            "fradect_webhook_attempts_total", "Tries to deliver a webhook, by what came of them.", "outcome"
        )
        self._outbox = self._gauge(
            "fradect_outbox_age_seconds", "Of the oldest event that no webhook was made of yet.", "livemax"
        )
        self._batch_rows = self._counter("fradect_batch_rows_total", "Rows of batches, by what came of them.", "result")
        self._batch_jobs = self._gauge("fradect_batch_jobs_waiting", "Batches that are not done.", "livemax")
        self._batch_left = self._gauge("fradect_batch_rows_waiting", "Rows of them that are not decided.", "livemax")
        self.measured = Measured()
        self.registry.register(self.measured)

    def compared(self, module: str, repaired: Repaired) -> None:
        """Live state and SQL were brought into line; of several tenants the last one's gauge is shown."""
        for kind, count in (
            ("withdrawn", repaired.withdrawn),
            ("applied", repaired.applied),
            ("placed", repaired.placed),
        ):
            self._repairs[module, kind].inc(count)
        self._unconfirmed[module,].set(repaired.waiting)

    def decided(self, decision: Decision | None, module: str, seconds: float) -> None:
        """An answer left; `decision` is None when it was a stored one."""
        self._duration[module,].observe(seconds)
        if decision is None:
            self._repeated[module,].inc()
            return
        self._requests[module, decision.action.name].inc()
        self._predictions[decision.release_id, "failed" if decision.probability is None else "scored"].inc()
        self._features[()].observe(decision.timings_us.get("features", 0) / 1e6)
        for what in decision.degraded:
            self._degraded[module, what].inc()

    def laid_beside(self, module: str, result: str) -> None:
        """What became of a pair of a champion's and a challenger's decision."""
        self._pairs[module, result].inc()

    def decided_in_batch(self, decision: Decision | None, module: str) -> None:
        """As `decided`, of a row that nobody waited for."""
        if decision is None:
            self._repeated[module,].inc()
            return
        self._requests[module, decision.action.name].inc()
        self._predictions[decision.release_id, "failed" if decision.probability is None else "scored"].inc()
        for what in decision.degraded:
            self._degraded[module, what].inc()

    def worked(self, tally: Tally) -> None:
        """A chunk of a batch was written down."""
        for result in ("approved", "in_review", "declined", "rejected"):
            self._batch_rows[result,].inc(getattr(tally, result))

    def batches(self, jobs: int, rows: int) -> None:
        """How much of batches is not done."""
        self._batch_jobs[()].set(jobs)
        self._batch_left[()].set(rows)

    def told(self, outcome: Outcome) -> None:
        """An outcome was told that was not known before."""
        self._outcomes[str(outcome),].inc()

    def webhooks_tried(self, delivered: int, failed: int, dead: int) -> None:
        """Since the last time; `failed` are tried again."""
        for outcome, count in (("delivered", delivered), ("failed", failed), ("dead", dead)):
            self._webhooks[outcome,].inc(count)

    def outbox_age(self, seconds: float) -> None:
        self._outbox[()].set(seconds)

    def failed(self, error_type: str) -> None:
        self._errors[error_type,].inc()

    def ready(self, is_ready: bool) -> None:
        self._ready[()].set(is_ready)

    def releases(self, refused: int, unverified_seconds: float) -> None:
        self._refused[()].set(refused)
        self._unverified[()].set(unverified_seconds)

    def pressure(self, limit: int, left_alone: Mapping[str, bool]) -> None:
        """How many are decided at once, and what is not asked because it kept failing."""
        self._limit[()].set(limit)
        for what, is_open in left_alone.items():
            self._left_alone[what,].set(is_open)

    def text(self) -> bytes:
        """Prometheus's text format."""
        if self._shared is None:
            return generate_latest(self.registry)
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody, str(self._shared))  # type: ignore[no-untyped-call]
        everybody.register(self.measured)
        return generate_latest(everybody)

    def _counter(self, name: str, text: str, *labels: str) -> "_Bound[Counter]":
        return _Bound(Counter(name, text, labels, registry=self.registry))

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> "_Bound[Histogram]":
        return _Bound(Histogram(name, text, labels, buckets=buckets, registry=self.registry))

    def _gauge(self, name: str, text: str, of_workers: _OfWorkers = "livemax", *labels: str) -> "_Bound[Gauge]":
        return _Bound(Gauge(name, text, labels, registry=self.registry, multiprocess_mode=of_workers))


_M = TypeVar("_M", bound=MetricWrapperBase)


class _Bound(dict[tuple[str, ...], _M]):
    """A metric's series by their labels' values: finding one here costs a third of asking the metric for it."""

    def __init__(self, metric: _M) -> None:
        self._metric = metric

    def __missing__(self, values: tuple[str, ...]) -> _M:
        series = self[values] = self._metric.labels(*values) if values else self._metric
        return series


def shared_folder() -> Path | None:
    """Where prometheus_client keeps what several workers count, if it was told to as it was imported."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(folder) if folder else None


def forget_the_dead(folder: Path) -> None:
    """Gauges of workers that are gone; what these have counted stays counted."""
    for path in folder.glob("gauge_live*_*.db"):
        pid = path.stem.rpartition("_")[2]
        if pid.isdigit() and not Path("/proc", pid).exists():
            path.unlink(missing_ok=True)


class Measured:
    """Figures that batch work left in the shared tables, as of the last look.

    Tenants are no label: amounts of several add up, and of rates the highest is shown.
    """

    def __init__(self) -> None:
        self._latest: tuple[Measurement, ...] = ()

    def take(self, latest: tuple[Measurement, ...]) -> None:
        self._latest = latest

    def collect(self) -> Iterable[Metric]:
        for name, text in MEASURED.items():
            combine = max if name.endswith("_rate") else sum
            labels = _MEASURED_LABELS.get(name, ("module",))
            by_labels: dict[tuple[str, ...], list[float]] = {}
            for row in self._latest:
                if row.name == name:
                    key = tuple(row.labels.get(label, "") for label in labels)
                    by_labels.setdefault(key, []).append(row.value)
            family = GaugeMetricFamily(name, text, labels=labels)
            for key, values in by_labels.items():
                family.add_metric(key, combine(values))
            yield family
