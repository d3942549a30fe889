"""Metrics in a registry of their own. Labels take values from small closed sets only."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from fradect.outcomes import Outcome
from fradect.ports import Measurement
from fradect.reconcile import Repaired
from fradect.types import Decision

_SECONDS = (0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
_STEPS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.3)

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
    """What the service counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter("fradect_requests_total", "Decisions made.", "module", "decision")
        self._repeated = self._counter("fradect_requests_repeated_total", "Answers given again.", "module")
        self._errors = self._counter("fradect_request_errors_total", "Requests refused or failed.", "type")
        self._predictions = self._counter(
            "fradect_model_predictions_total", "Models asked, and whether they answered.", "model", "outcome"
        )
        self._degraded = self._counter("fradect_decisions_degraded_total", "Decisions made without a part.", "part")
        self._outcomes = self._counter("fradect_outcomes_total", "Outcomes told, corrections too.", "outcome")
        self._duration = Histogram(
            "fradect_requests_duration_seconds",
            "From the request's arrival to its answer.",
            ("module",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._features = Histogram(
            "fradect_feature_extraction_duration_seconds",
            "Live state and snapshots read, for one event.",
            buckets=_STEPS,
            registry=self.registry,
        )
        self._ready = Gauge("fradect_ready", "1 when every champion decides.", registry=self.registry)
        self._refused = Gauge(
            "fradect_releases_refused", "Champions that do not load: another decides.", registry=self.registry
        )
        self._unverified = Gauge(
            "fradect_release_unverified_seconds",
            "For how long a release that decides could not be verified; after seven days its rules decide alone.",
            registry=self.registry,
        )
        self._repairs = self._counter(
            "fradect_state_repairs_total", "Events by which live state and SQL differed, put right.", "module", "kind"
        )
        self._unconfirmed = Gauge(
            "fradect_state_unconfirmed",
            "Arrivals whose event is not stored yet.",
            ("module",),
            registry=self.registry,
        )
        self.measured = Measured()
        self.registry.register(self.measured)

    def compared(self, module: str, repaired: Repaired) -> None:
        """Live state and SQL were brought into line; of several tenants the last one's gauge is shown."""
        for kind, count in (
            ("withdrawn", repaired.withdrawn),
            ("applied", repaired.applied),
            ("placed", repaired.placed),
        ):
            self._repairs.labels(module, kind).inc(count)
        self._unconfirmed.labels(module).set(repaired.waiting)

    def decided(self, decision: Decision | None, module: str, seconds: float) -> None:
        """An answer left; `decision` is None when it was a stored one."""
        self._duration.labels(module).observe(seconds)
        if decision is None:
            self._repeated.labels(module).inc()
            return
        self._requests.labels(module, decision.action.name).inc()
        outcome = "failed" if decision.probability is None else "scored"
        self._predictions.labels(decision.release_id, outcome).inc()
        self._features.observe(decision.timings_us.get("features", 0) / 1e6)
        for part in decision.degraded:
            self._degraded.labels(part).inc()

    def told(self, outcome: Outcome) -> None:
        """An outcome was told that was not known before."""
        self._outcomes.labels(str(outcome)).inc()

    def failed(self, error_type: str) -> None:
        self._errors.labels(error_type).inc()

    def ready(self, is_ready: bool) -> None:
        self._ready.set(is_ready)

    def releases(self, refused: int, unverified_seconds: float) -> None:
        self._refused.set(refused)
        self._unverified.set(unverified_seconds)

    def text(self) -> bytes:
        """Prometheus's text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)


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
