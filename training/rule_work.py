"""What each rule did over past events: hits, how often it was right, and what hung on it alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fradect.blast import alone
from fradect.bulk import Trace
from fradect.modules.declaration import CostModel
from fradect.policy import money_saved
from fradect.rulebook import Rule

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """One rule. `matured` and `frauds`: of its hits; `precision`: their ratio, None where there is none.

    `alone`: events whose outcome would be another without it (its blast radius), `stricter` those that it made
    stricter, `alone_frauds` the frauds known among them, `alone_money` what that saved, in minor units.
    """

    rule: str
    table: str
    text: str
    hits: int
    could_not_run: int
    matured: int
    frauds: int
    alone: int
    stricter: int
    alone_matured: int
    alone_frauds: int
    alone_money: float

    @property
    def precision(self) -> float | None:
        return self.frauds / self.matured if self.matured else None


@dataclass(frozen=True, slots=True)
class Known:
    """What became of the events of a stretch. `amount`: minor units."""

    label: Flags
    matured: Flags
    amount: Ints


_COUNTS = ("hits", "could_not_run", "matured", "frauds", "alone", "stricter", "alone_matured", "alone_frauds")


@dataclass
class RuleWork:
    """Sums over stretches, for the rules of one release."""

    rules: Sequence[Rule]
    costs: CostModel
    _sums: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, trace: Trace, known: Known) -> None:
        for rule, own in alone(self.rules, trace):
            ran, at = trace.ran[rule.id], own.rows
            with_it = trace.past.action[at]
            counted, label = known.matured[at], known.label[at]
            money = money_saved(self.costs, known.amount[at], label, with_it)
            money -= money_saved(self.costs, known.amount[at], label, own.without)
            found = {
                "hits": ran.hit.size,
                "could_not_run": ran.unable.size,
                "matured": known.matured[ran.hit].sum(),
                "frauds": (known.matured & known.label)[ran.hit].sum(),
                "alone": at.size,
                "stricter": (with_it > own.without).sum(),
                "alone_matured": counted.sum(),
                "alone_frauds": (counted & label).sum(),
                "alone_money": money[counted].sum(),
            }
            sums = self._sums.setdefault(rule.id, dict.fromkeys(found, 0.0))
            for name, value in found.items():
                sums[name] += float(value)

    def facts(self) -> Iterator[RuleFacts]:
        """Those with the widest blast radius first, then by hits."""
        for rule in sorted(self.rules, key=self._weight):
            sums = self._sums.get(rule.id, {})
            counts = {name: int(sums.get(name, 0)) for name in _COUNTS}
            yield RuleFacts(rule.id, rule.table, rule.text, **counts, alone_money=sums.get("alone_money", 0.0))

    def _weight(self, rule: Rule) -> tuple[float, float, str]:
        sums = self._sums.get(rule.id, {})
        return -sums.get("alone", 0.0), -sums.get("hits", 0.0), rule.id
