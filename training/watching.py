"""A trial as it is watched: pairs in the order in which they were decided, and what became of them, become evidence.

Nothing is kept from look to look: the same pairs and outcomes give the same verdicts, on any machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from fradect.modules.declaration import CostModel
from fradect.pairs import PairColumns
from fradect.policy import Guardrails
from fradect.rollout import WHOLE
from fradect.types import Action, Verdict
from training.canary_gates import (
    START,
    Counting,
    Evidence,
    Watched,
    shadow_verdicts,
    verdicts,
    with_decided,
    with_labelled,
    with_waiting,
)
from training.canary_values import UNKNOWN, Beside, Decided, Flags, Labelled, counted
from training.evaluate import LEAST_FRAUDS, Comparison, Scored, compare
from training.sequential import Ints

_NOBODY = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Terms:
    """By what a trial is judged: the champion's limits and costs.

    Of events decided before `matured_before` (microseconds) the label has come, or never will; then silence means
    honest where `silence_is_honest`.
    """

    rails: Guardrails
    costs: CostModel
    matured_before: int
    silence_is_honest: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """Pairs at one share, and how many of them the challenger decided."""

    pairs: int = 0
    by_challenger: int = 0


@dataclass
class Once:
    """Each customer counts in a guardrail until the first event that says something there; see `counted`."""

    _before: dict[str, Ints] = field(default_factory=dict)

    def of(self, customer: Ints, name: str, looked_at: Flags, marked: Flags) -> Flags:
        """Rows that count, of n in the order in which they were decided."""
        before = self._before.get(name, _NOBODY)
        rows = looked_at & counted(customer, marked, before)
        self._before[name] = np.union1d(before, customer[rows & marked])
        return rows


class Watch:
    """Takes pages of pairs, oldest first."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._evidence: Evidence = START
        self._foreseen: Watched | None = None
        self._once = Once()
        self._shadow: list[npt.NDArray[np.int64]] = []
        self.seen: dict[int, Seen] = {}

    def add(self, page: PairColumns, told: Mapping[str, bool]) -> None:
        """`told`: whether a decision was fraud, by its id, of those that anybody told anything of. While nobody tells
        anything of any, nothing is known of cost: then silence means nothing."""
        fate = _fates(page, told) if told else None
        for share in np.unique(page.share).tolist():
            self._at(share, page, fate)

    def verdicts(self) -> tuple[Verdict, ...]:
        """Of a challenger that decides for some."""
        return verdicts(self._evidence, self._terms.rails, self._foreseen)

    def shadow_verdicts(self) -> tuple[Verdict, ...]:
        """Of one that decides for nobody."""
        return shadow_verdicts(self._evidence, self._terms.rails)

    def compared(self, seed: int) -> Comparison | None:
        """Both releases on the matured events of the shadow; None while they hold too few frauds, or no event on which
        the releases act apart."""
        if not self._shadow:
            return None
        ours, theirs, our_score, its_score, fraud, amount, time, subject = np.concatenate(self._shadow, axis=1)
        frauds = int(fraud.sum())
        if not LEAST_FRAUDS <= frauds < fraud.size or np.array_equal(ours, theirs):
            return None
        customer = np.unique(subject, return_inverse=True)[1].astype(np.int64)
        scored = [
            Scored(score / 1000, action, fraud > 0, amount, time, customer)
            for score, action in ((our_score, ours), (its_score, theirs))
        ]
        return compare(scored[0], scored[1], self._terms.costs, seed)

    def _at(self, share: int, page: PairColumns, fate: Ints | None) -> None:
        rows = page.share == share
        terms = self._terms
        decided = _decided(page, rows, terms.rails)
        self._evidence = with_decided(self._evidence, decided, terms.rails, self._counting(page.subject[rows]))
        before = self.seen.get(share, Seen())
        ours = int(page.by_challenger[rows].sum())
        self.seen[share] = Seen(before.pairs + int(rows.sum()), before.by_challenger + ours)
        if fate is None:
            return
        if share:
            self._cost(page, rows, fate)
        else:
            self._note_shadow(page, rows, fate)

    def _cost(self, page: PairColumns, rows: Flags, fate: Ints) -> None:
        """Matured pairs whose label is known, or cannot be; and those whose label may still come."""
        terms, pairs = self._terms, rows & _paired(page)
        matured = page.decided_at < terms.matured_before
        settled = self._settled(fate)
        old, new = pairs & matured & ((settled != UNKNOWN) | ~_observable(page)), pairs & ~matured
        if old.any():
            labelled, count = _labelled(page, old, settled), self._counting(page.subject[old])
            self._evidence = with_labelled(self._evidence, labelled, terms.costs, terms.rails, count)
        if new.any():
            waiting, count = _labelled(page, new, fate), self._counting(page.subject[new])
            foreseen = self._foreseen or self._evidence.of("cost")
            self._foreseen = with_waiting(foreseen, waiting, terms.costs, terms.rails, count)

    def _note_shadow(self, page: PairColumns, rows: Flags, fate: Ints) -> None:
        """What is known of it: the champion did not decline it."""
        settled = self._settled(fate)
        matured = page.decided_at < self._terms.matured_before
        known = rows & _paired(page) & matured & _observable(page) & (settled != UNKNOWN)
        actions, scores = (page.ours_action, page.theirs_action), (page.ours_score, page.theirs_score)
        columns = (*actions, *scores, settled, page.amount, page.decided_at, page.subject)
        if known.any():
            self._shadow.append(np.stack([column[known] for column in columns]))

    def _settled(self, fate: Ints) -> Ints:
        """Of what has matured."""
        return np.where(fate == UNKNOWN, 0, fate) if self._terms.silence_is_honest else fate

    def _counting(self, customer: Ints) -> Counting:
        return partial(self._once.of, customer)


def _fates(page: PairColumns, told: Mapping[str, bool]) -> Ints:
    """1 for fraud, 0 for honest, else UNKNOWN."""
    return np.array(
        [UNKNOWN if (fraud := told.get(name or "")) is None else fraud for name in page.decision_id], np.int64
    )


def _paired(page: PairColumns) -> Flags:
    return (page.ours_action >= 0) & (page.theirs_action >= 0)


def _observable(page: PairColumns) -> Flags:
    """Whether what became of it can be known: who decided it did not decline it."""
    return np.asarray(np.where(page.by_challenger, page.ours_action, page.theirs_action) != Action.DECLINE, np.bool_)


def _decided(page: PairColumns, rows: Flags, rails: Guardrails) -> Decided:
    """Of rows of one share. In a shadow judgements are compared, else whole requests."""
    most_us, ours = rails.slow_ms * 1000, page.by_challenger[rows]
    share = int(page.share[rows][0])
    took = page.request_us if share else page.theirs_us
    return Decided(
        share=share / WHOLE,
        in_canary=ours,
        failed=np.where(ours, page.ours_failed[rows], page.theirs_failed[rows]),
        degraded=np.where(ours, page.ours_degraded[rows], page.theirs_degraded[rows]),
        slow=took[rows] > most_us,
        canary_action=page.ours_action[rows],
        champion_action=page.theirs_action[rows],
        canary_score=page.ours_score[rows],
        champion_score=page.theirs_score[rows],
        beside=None if share else _beside(page, rows, most_us),
    )


def _beside(page: PairColumns, rows: Flags, most_us: int) -> Beside:
    failed = page.ours_failed[rows]
    return Beside(
        asked=failed | (page.ours_action[rows] >= 0),
        failed=failed,
        degraded=page.ours_degraded[rows],
        slow=page.ours_us[rows] > most_us,
    )


def _labelled(page: PairColumns, rows: Flags, fate: Ints) -> Labelled:
    return Labelled(
        share=int(page.share[rows][0]) / WHOLE,
        in_canary=page.by_challenger[rows],
        canary_action=page.ours_action[rows],
        champion_action=page.theirs_action[rows],
        amount=page.amount[rows],
        fraud=fate[rows],
        let_through=np.zeros(int(rows.sum()), np.bool_),
    )
