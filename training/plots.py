"""Pictures of an evaluation, as PNG. Each names what its axes measure, and in which unit."""

import io
from collections.abc import Mapping

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fradect.money import exponent_of
from fradect.policy import Policy
from training.evaluate import Evaluation

_BLUE, _ORANGE, _GREY = "#1f5fa8", "#d1691f", "#8a8a8a"
_FEATURES = 20


def figures(evaluation: Evaluation, importance: Mapping[str, float], policy: Policy) -> dict[str, bytes]:
    """File name to PNG: precision-recall, ROC, calibration, cost curve, importance."""
    with mpl.rc_context({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False}):
        return {
            "precision_recall.png": _precision_recall(evaluation),
            "roc.png": _roc(evaluation),
            "calibration.png": _calibration(evaluation),
            "cost.png": _cost(evaluation, policy),
            "importance.png": _importance(importance),
        }


def _precision_recall(evaluation: Evaluation) -> bytes:
    figure, axes = _page("Precision and recall", "recall: share of fraud flagged", "precision: share of flags right")
    curves, share = evaluation.curves, evaluation.frauds / evaluation.events
    span = evaluation.metrics["average_precision"]
    axes.plot(curves.recall, curves.precision, color=_BLUE, label=f"average precision {span.text()}")
    axes.axhline(share, color=_GREY, linestyle="--", label=f"by chance: {share:.4f}")
    if "precision" in evaluation.metrics:
        at = evaluation.metrics["recall"].value, evaluation.metrics["precision"].value
        axes.plot(*at, "o", color=_ORANGE, label="what the release reviews or declines")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="upper right", frameon=False)
    return _png(figure)


def _roc(evaluation: Evaluation) -> bytes:
    figure, axes = _page("ROC curve", "share of honest events flagged", "share of fraud flagged")
    label = f"area under the curve {evaluation.metrics['roc_auc'].text()}"
    curves = evaluation.curves
    axes.plot([0.0, *curves.false_positive_rate], [0.0, *curves.recall], color=_BLUE, label=label)
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", label="by chance")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="lower right", frameon=False)
    return _png(figure)


def _calibration(evaluation: Evaluation) -> bytes:
    figure, axes = _page("Calibration", "predicted probability of fraud", "observed share of fraud")
    curves, error = evaluation.curves, evaluation.metrics["calibration_error"]
    pairs = [(p, o) for p, o in zip(curves.predicted, curves.observed, strict=True) if p > 0 and o > 0]
    none = sum(o == 0 for o in curves.observed)
    low = min((min(pair) for pair in pairs), default=1e-3) / 2
    axes.plot([low, 1], [low, 1], color=_GREY, linestyle="--", label="perfect")
    label = f"{len(curves.predicted)} bins of equal size; calibration error {error.text(4)}"
    axes.plot(*zip(*pairs, strict=True), "o-", color=_BLUE, label=label)
    if none:
        axes.plot([], [], " ", label=f"{none} bins without fraud are not drawn")
    axes.set(xscale="log", yscale="log")
    axes.legend(loc="upper left", frameon=False)
    return _png(figure)


def _cost(evaluation: Evaluation, policy: Policy) -> bytes:
    unit, scale = f"money saved, {evaluation.currency}", 10 ** exponent_of(evaluation.currency)
    figure, axes = _page("What thresholds are worth", "score from which the action is taken", unit)
    for name, saved, color, chosen in (
        ("review", evaluation.curves.saved_by_review, _BLUE, policy.review),
        ("decline", evaluation.curves.saved_by_decline, _ORANGE, policy.decline),
    ):
        axes.plot([money / scale for money in saved], color=color, label=f"{name} everything from this score on")
        axes.axvline(chosen, color=color, linestyle=":", label=f"the policy: {name} from {chosen}")
    best = max(*evaluation.curves.saved_by_review, *evaluation.curves.saved_by_decline, 1.0) / scale
    axes.axhline(0, color=_GREY, linewidth=0.8)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set(xlim=(0, 1001), ylim=(-best, 1.2 * best))
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return _png(figure)


def _importance(importance: Mapping[str, float]) -> bytes:
    top = sorted(importance.items(), key=lambda pair: pair[1])[-_FEATURES:]
    figure, axes = _page("What the model looks at", "share of the loss that splits on a feature removed, %", "")
    axes.barh([name for name, _ in top], [100 * share for _, share in top], color=_BLUE)
    return _png(figure)


def _page(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set(xlabel=x, ylabel=y)
    return figure, axes


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110, metadata={"Software": None})
    return out.getvalue()
