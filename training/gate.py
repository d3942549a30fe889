"""Gates: may this candidate decide? Pure functions of measurements; each answer carries its evidence."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from math import sqrt

from fradect.policy import DataLimits, Limits
from fradect.types import Verdict
from training.data_quality import DataFacts, Then
from training.evaluate import Comparison, Evaluation

GATES = ("data", "improvement", "fairness", "replay")  # all that a promotion asks
_SHOWN = 5  # mismatches told of in full
_SURE = 2.33  # standard errors: one in a hundred is beyond, on one side


def improvement(
    evaluation: Evaluation, comparison: Comparison | None, limits: Limits, *, is_edit: bool = False
) -> Verdict:
    """Better than the champion on the same test events; without a champion, better than guessing.

    Both ways money counts too: a candidate that certainly costs more than it saves, or that certainly saves less
    than the champion by more than the tolerance, fails. `is_edit`: only its rules or policy are new, so it ranks as
    the champion does, and money alone is asked.
    """
    if comparison is None:
        return _first(evaluation)
    return _no_dearer(comparison, limits) if is_edit else _better(comparison, limits)


def _first(evaluation: Evaluation) -> Verdict:
    precision, money = evaluation.metrics["average_precision"], evaluation.metrics["money_saved"]
    base = evaluation.frauds / evaluation.events
    evidence = {"average_precision": asdict(precision), "money_saved": asdict(money), "share_of_fraud": base}
    if precision.low <= base:
        reason = f"average precision {precision.text()} is not certainly above the share of fraud, {base:.4f}"
        return Verdict("improvement", "fail", reason, evidence)
    if money.high < 0:
        reason = f"its decisions cost more than they save: {money.text(0)} minor units"
        return Verdict("improvement", "fail", reason, evidence)
    reason = f"no champion yet; average precision {precision.text()} against {base:.4f} by guessing"
    return Verdict("improvement", "pass", reason, evidence)


def _better(comparison: Comparison, limits: Limits) -> Verdict:
    gain, money = comparison.average_precision, comparison.money_saved
    floor = -limits.worse_tolerance * abs(comparison.champion_money_saved)
    evidence = {**asdict(comparison), "margin": limits.improvement_margin, "money_floor": floor}
    if gain.low <= -limits.improvement_margin:
        reason = f"average precision less the champion's is {gain.text(4)}, not certainly above zero"
        if limits.improvement_margin:
            reason = f"average precision less the champion's is {gain.text(4)}: below -{limits.improvement_margin}"
        return Verdict("improvement", "fail", reason, evidence)
    if money.high < floor:
        reason = f"it saves less than the champion by {money.text(0)} minor units"
        return Verdict("improvement", "fail", reason, evidence)
    reason = f"average precision above the champion's by {gain.text(4)} on the same {comparison.events:,} events"
    return Verdict("improvement", "pass", reason, evidence)


def _no_dearer(comparison: Comparison, limits: Limits) -> Verdict:
    money, floor = comparison.money_saved, -limits.worse_tolerance * abs(comparison.champion_money_saved)
    evidence = {**asdict(comparison), "money_floor": floor}
    said = f"it saves {money.text(0)} minor units more than the champion on the same {comparison.events:,} events"
    if money.high < floor:
        return Verdict("improvement", "fail", f"{said}: certainly too little", evidence)
    if money.low < floor:
        return Verdict("improvement", "not enough data", f"{said}, not certainly above {floor:,.0f}", evidence)
    return Verdict("improvement", "pass", said, evidence)


def data(facts: DataFacts, limits: Limits) -> Verdict:
    """Whether what the candidate learnt from can be believed: what is too good, too odd or too new to be true fails.

    Where there is no champion, only what the data shows of itself is judged.
    """
    evidence = {**asdict(facts), "limits": asdict(limits.data)}
    wrong = [*_too_good(facts, limits.data), *_labels(facts, limits.data), *_population(facts, limits.data)]
    if wrong:
        return Verdict("data", "fail", "; ".join(wrong), evidence)
    return Verdict("data", "pass", f"nothing odd about {facts.events:,} events", evidence)


def _too_good(facts: DataFacts, limits: DataLimits) -> Iterator[str]:
    if facts.duplicates > limits.duplicates:
        yield f"{facts.duplicates:.1%} of the events repeat another's customer, time and amount"
    for name, auc in facts.telling.items():
        if auc > limits.telling:
            yield f"{name} alone tells fraud with a ROC AUC of {auc:.3f}: it may know the outcome"
    for name, share in facts.giveaway.items():
        if share > limits.giveaway or share - _before(facts.then, name) > limits.giveaway_more:
            yield f"values of {name} that only fraud has give {share:.0%} of it away: it may know the outcome"


def _before(then: Then, feature: str) -> float:
    """What a feature gave away in the champion's time: of one that did not stand out, at most as much as those that
    did; all of it where nobody looked."""
    known = then.giveaway
    return 1.0 if known is None else known.get(feature, min(known.values(), default=0.0))


def _labels(facts: DataFacts, limits: DataLimits) -> Iterator[str]:
    then = facts.then
    if then.events and facts.news:
        was, now = then.frauds / then.events, facts.news_frauds / facts.news
        apart = abs(now - was) > _SURE * _error(then.frauds + facts.news_frauds, then.events, facts.news)
        if apart and (now > was * limits.fraud_ratio or now * limits.fraud_ratio < was):
            yield f"{now:.2%} of what is new is fraud, {was:.2%} of what the champion learnt from"
    if then.strays is not None and then.strays_of and facts.strays_of:
        was, now = then.strays / then.strays_of, facts.strays / facts.strays_of
        error = _error(then.strays + facts.strays, then.strays_of, facts.strays_of)
        if now - was > max(limits.strays, _SURE * error):
            yield f"{now:.0%} of frauds look safer than most events, {was:.0%} in the champion's time: see the labels"


def _error(marked: int, here: int, there: int) -> float:
    """The standard error of the difference of two shares, were they the same."""
    share = min(marked / (here + there), 1.0)
    return sqrt(share * (1 - share) * (1 / here + 1 / there))


def _population(facts: DataFacts, limits: DataLimits) -> Iterator[str]:
    for name, index in facts.shift.items():
        if index > limits.shift:
            yield f"{name} is not what it was: stability index {index:.1f}"
    for name, more in facts.unknown.items():
        if more > limits.unknown:
            yield f"{name} is unknown, or of a category that is, for {more:.0%} more of the events"


def matured(comparison: Comparison | None, limits: Limits) -> Verdict:
    """Better than the champion on the same matured events of a backtest or a shadow: the paired interval of money saved
    lies above the margin, a share of what the champion saved. Below it: fail; on both sides: not enough data.

    `comparison` holds only events whose label is known; None: nothing to compare. What the champion declined has
    none, unless it was let through, so how the candidate would decide it is judged on the canary alone.
    """
    if comparison is None:
        reason = "too few matured frauds, or the releases act alike on all that has matured"
        return Verdict("matured", "not enough data", reason, {})
    money, margin = comparison.money_saved, limits.matured_margin * abs(comparison.champion_money_saved)
    evidence = {**asdict(comparison), "margin": margin, "least": limits.matured_least}
    if comparison.events < limits.matured_least:
        reason = f"{comparison.events:,} of {limits.matured_least:,} matured events"
        return Verdict("matured", "not enough data", reason, evidence)
    said = f"it saves {money.text(0)} minor units more than the champion on {comparison.events:,} matured events"
    if money.low > margin:
        return Verdict("matured", "pass", said, evidence)
    if money.high <= margin:
        return Verdict("matured", "fail", f"{said}, certainly no more than the margin of {margin:,.0f}", evidence)
    return Verdict("matured", "not enough data", f"{said}, not certainly more than {margin:,.0f}", evidence)


def replay(mismatches: Sequence[str], events: int, differing: int | None = None) -> Verdict:
    """One event whose live vector differs from history's is one too many; so is having replayed none.

    `mismatches`: descriptions; of how many events is `differing`, one each when it is not given.
    """
    wrong = len(mismatches) if differing is None else differing
    evidence = {"events": events, "mismatches": wrong, "first": list(mismatches[:_SHOWN])}
    if wrong or mismatches:
        reason = f"{wrong:,} of {events:,} events differ between history and live: {mismatches[0]}"
        return Verdict("replay", "fail", reason, evidence)
    if not events:
        return Verdict("replay", "fail", "no event was replayed, so nothing is proven", evidence)
    return Verdict("replay", "pass", f"{events:,} events in a row, live equals history to the last bit", evidence)


def conclude(verdicts: Sequence[Verdict]) -> Verdict:
    """All gates as one: it fails with the first reason that failed, and names what could not be judged."""
    evidence = {verdict.gate: verdict.result for verdict in verdicts}
    failed = [f"{verdict.gate}: {verdict.reason}" for verdict in verdicts if not verdict.passed]
    if failed or not verdicts:
        return Verdict("promotion", "fail", "; ".join(failed) or "no gate was asked", evidence)
    open_ = [verdict.gate for verdict in verdicts if verdict.result != "pass"]
    unsure = f" (not enough data: {', '.join(open_)})" if open_ else ""
    return Verdict("promotion", "pass", f"every gate passed{unsure}", evidence)
