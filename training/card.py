"""The model card: what a release is, how well it does, for whom, and what it must not be used for. In Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fradect.money import exponent_of
from fradect.release import Release, digests
from fradect.types import DAY, SECOND, Verdict
from training.bootstrap import Interval
from training.declined import Declined
from training.evaluate import Comparison, Evaluation
from training.fairness import FairnessTable
from training.fit import TrainingFacts
from training.gate import GATES, conclude

NAMES: Mapping[str, str] = {
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "card_precision_100": "Card Precision@100",
    "calibration_error": "Expected calibration error",
    "money_saved": "Money saved",
}
_TOP = 10


@dataclass(frozen=True, slots=True)
class CardFacts:
    """All that a card tells of. `champion`: the release it was compared with, if there is one."""

    release: Release
    training: TrainingFacts
    evaluation: Evaluation
    fairness: FairnessTable
    verdicts: Sequence[Verdict]
    comparison: Comparison | None = None
    champion: str | None = None
    declined: Declined | None = None


def render(facts: CardFacts) -> str:
    """The card, whether the gates passed or not. Nothing in it depends on when it is written."""
    sections = (_head, _use, _data, _metrics, _slices, _fairness, _thresholds, _gates, _model, _parts)
    return "\n\n".join("\n".join(section(facts)) for section in sections) + "\n"


def money(minor: float, currency: str) -> str:
    """Minor units as people read them, whole major units."""
    return f"{minor / 10 ** exponent_of(currency):,.0f} {currency}"


def said(name: str, span: Interval, currency: str) -> str:
    """A measure with its interval, in its unit."""
    if name != "money_saved":
        return span.text(4 if name == "calibration_error" else 3)
    scale = 10 ** exponent_of(currency)
    return Interval(span.value / scale, span.low / scale, span.high / scale).text(0) + f" {currency}"


def _head(facts: CardFacts) -> Iterator[str]:
    outcome, asked = conclude(facts.verdicts), {verdict.gate for verdict in facts.verdicts}
    open_ = [gate for gate in GATES if gate not in asked]
    yield f"# Model card: {facts.release.id}"
    yield ""
    if outcome.passed and open_:
        yield f"**Passed so far**: {outcome.reason}. Promotion still asks: {', '.join(open_)}."
    else:
        yield f"**{'May be promoted' if outcome.passed else 'Must not be promoted'}**: {outcome.reason}."
    yield ""
    yield f"Module `{facts.release.module}`, contract `{facts.release.contract.name}`, " + (
        f"compared with `{facts.champion}`." if facts.champion else "no champion to compare with."
    )


def _use(facts: CardFacts) -> Iterator[str]:
    yield "## Intended use and limits"
    yield ""
    yield (
        f"Meant to score events of module `{facts.release.module}` of the tenant whose history it was trained on, "
        "and to propose APPROVE, REVIEW or DECLINE by the thresholds below. Its probabilities hold for a mix of "
        "events like the test set's."
    )
    yield ""
    yield "- Not meant for any other purpose: not for credit, hiring, pricing, or judging a person."
    yield "- Not trained on other tenants' data, and not to be used for them without new tests."
    yield "- Labels are what became known: fraud that nobody reported counts as honest."
    yield "- Protected attributes are never features; features may still stand in for them, hence the audit below."


def _data(facts: CardFacts) -> Iterator[str]:
    at, training = facts.training.boundaries, facts.training
    spans = {
        "train": (at.start, at.train_end),
        "validation": (at.fit_at, at.validation_end),
        "calibration": (at.validation_end, at.calibration_end),
        "test": (at.chosen_at, at.end),
    }
    yield "## Data"
    yield ""
    yield from _table(
        ("part", "from", "to", "events", "fraud", "share"),
        [
            (name, _day(start), _day(end), f"{events:,}", f"{frauds:,}", f"{frauds / max(events, 1):.2%}")
            for name, (start, end) in spans.items()
            for events, frauds in [(training.events[name], training.frauds[name])]
        ],
    )
    yield ""
    gap = (at.fit_at - at.train_end) / DAY
    yield (
        f"Time-ordered; the gaps are the label delay ({gap:g} days), and no label was used before it was known. "
        f"Digest of the data: `{training.data_digest[:16]}`."
    )


def _metrics(facts: CardFacts) -> Iterator[str]:
    evaluation = facts.evaluation
    yield "## Measures on the test set"
    yield ""
    yield from _table(
        ("measure", "value (95 % interval)"),
        [(NAMES[name], said(name, span, evaluation.currency)) for name, span in evaluation.metrics.items()],
    )
    yield ""
    yield (
        f"{evaluation.events:,} events, {evaluation.frauds:,} of them fraud. Intervals: bootstrap over customers. "
        "Precision, recall and F1 count what the policy reviews or declines. Money: docs/concepts/money.md."
    )
    yield "Decisions: " + ", ".join(f"{name} {count:,}" for name, count in evaluation.decisions.items()) + "."
    yield from _declined(facts.declined)
    if facts.comparison is not None:
        gain = facts.comparison
        saved = said("money_saved", gain.money_saved, evaluation.currency)
        yield ""
        precision = gain.average_precision.text(4)
        yield f"Less the champion's, on the same events: average precision {precision}, money saved {saved}."


def _declined(found: Declined | None) -> Iterator[str]:
    """What exploration tells, where there was any."""
    if found is None or found.precision is None or found.false_positive_rate is None:
        return
    yield ""
    yield (
        f"Declines, by {found.let_through:,} that were let through by chance, each standing for one over its chance: "
        f"precision {found.precision.text()}, share of honest events declined {found.false_positive_rate.text(4)} "
        "(intervals: Wilson's and Poisson's). Of declines that are never let through this says nothing."
    )


def _slices(facts: CardFacts) -> Iterator[str]:
    currency = facts.evaluation.currency
    yield "## Slices"
    yield ""
    shown = ("average_precision", "recall", "money_saved")
    yield from _table(
        ("by", "part", "events", "fraud", *(NAMES[name].lower() for name in shown)),
        [
            (
                part.by,
                part.part,
                f"{part.events:,}",
                f"{part.frauds:,}",
                *(said(name, part.metrics[name], currency) if name in part.metrics else "too few" for name in shown),
            )
            for part in facts.evaluation.slices
        ],
    )


def _fairness(facts: CardFacts) -> Iterator[str]:
    yield "## Fairness"
    yield ""
    if not facts.fairness.groups:
        yield "The data says nothing of any protected attribute, so neither can this card."
        return
    yield from _table(
        ("attribute", "group", "events", "flagged", "honest flagged", "fraud flagged"),
        [
            (
                group.attribute,
                group.name,
                f"{group.events:,}",
                _share(group.selection_rate),
                _share(group.false_positive_rate),
                _share(group.true_positive_rate),
            )
            for group in facts.fairness.groups
        ],
    )
    yield ""
    for spread in facts.fairness.spreads:
        yield (
            f"- {spread.attribute}: false-positive rates lowest over highest {_ratio(spread.false_positive_ratio)}, "
            f"selection rates {_ratio(spread.selection_ratio)}, gap in fraud caught {_share(spread.opportunity_gap)}"
        )


def _thresholds(facts: CardFacts) -> Iterator[str]:
    policy = facts.release.policy
    costs, currency = policy.costs, policy.base_currency
    yield "## Thresholds and costs"
    yield ""
    yield (
        f"Scores from {policy.review} are reviewed, from {policy.decline} declined: the pair that is expected to save "
        "most on the calibration events."
    )
    for band in policy.bands:
        yield f"- {band.name}: reviewed from {band.review}, declined from {band.decline}"
    yield ""
    yield (
        f"Fraud let through costs {costs.loss:.0%} of its amount; an honest event declined {costs.margin:.0%} of it "
        f"and {money(costs.insult_fixed, currency)}; a review {money(costs.review_fixed, currency)}, and it stops "
        f"{costs.review_catch:.0%} of fraud and loses {costs.review_insult:.0%} of honest events."
    )


def _gates(facts: CardFacts) -> Iterator[str]:
    yield "## Gates"
    yield ""
    yield from _table(("gate", "result", "why"), [(v.gate, v.result, v.reason) for v in facts.verdicts])


def _model(facts: CardFacts) -> Iterator[str]:
    training = facts.training
    pruned = sum(trial.average_precision is None for trial in training.trials)
    yield "## Model"
    yield ""
    yield (
        f"XGBoost, {training.rounds} trees, probabilities by Platt scaling. Chosen among {len(training.trials)} "
        f"trials ({pruned} pruned) by average precision on validation ({training.average_precision:.3f}); seed "
        f"{training.seed}."
    )
    yield ""
    yield "Parameters: " + ", ".join(f"{name} {_short(value)}" for name, value in sorted(training.params.items())) + "."
    yield ""
    top = list(training.importance.items())[:_TOP]
    meanings = {feature.name: feature.meaning for feature in facts.release.contract}
    yield from _table(
        ("feature", "share of importance", "meaning"),
        [(name, f"{share:.1%}", meanings.get(name, "")) for name, share in top],
    )


def _parts(facts: CardFacts) -> Iterator[str]:
    release = facts.release
    yield "## Parts"
    yield ""
    yield from _table(("part", "SHA-256"), [(name, f"`{digest}`") for name, digest in digests(release.parts()).items()])
    yield ""
    yield "Engines: " + ", ".join(f"{name} {version}" for name, version in sorted(release.engines.items())) + "."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment / SECOND, UTC).strftime("%Y-%m-%d %H:%M")


def _share(value: float | None) -> str:
    return "nobody" if value is None else f"{value:.2%}"


def _ratio(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.2f}"


def _short(value: float) -> str:
    return f"{value:.4g}"
