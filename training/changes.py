"""Events that two releases decide differently, each with what made the difference."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fradect.bands import Cuts
from fradect.bulk import Effects, Trace, settle
from fradect.errors import InvalidInput
from fradect.policy import model_score
from fradect.rulebook import Rule
from fradect.types import Action
from training.rule_work import Known

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

MODEL, RULES, THRESHOLDS = "model", "rules", "thresholds"
_ABOUT = ("event_id", "seq", "event_time", "customer_id", "merchant_id", "channel", "payment_method", "amount_base")
_BOTH = ("champion", "candidate")

_NAMES = pa.list_(pa.string())
SCHEMA = pa.schema(
    {
        "event_id": pa.string(),
        "seq": pa.int64(),
        "event_time": pa.timestamp("us", "UTC"),
        "customer_id": pa.string(),
        "merchant_id": pa.string(),
        "channel": pa.string(),
        "payment_method": pa.string(),
        "amount_base": pa.int64(),
        "fraud": pa.bool_(),
        "champion": pa.string(),
        "candidate": pa.string(),
        **{f"{side}_score": pa.int64() for side in _BOTH},
        **{f"{side}_probability": pa.float64() for side in _BOTH},
        **{f"{side}_review": pa.int64() for side in _BOTH},
        **{f"{side}_decline": pa.int64() for side in _BOTH},
        "cause": pa.string(),
        "rules": _NAMES,
        "reason": pa.string(),
    }
)
"""`fraud` is null while the label has not matured. `rules`: those that ask for another thing than they did, or hit for
one release alone. `amount_base`: minor units."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A release's decisions on a stretch of events, and its rules."""

    trace: Trace
    rules: Sequence[Rule]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which changes are wanted; None is any."""

    was: str | None = None
    now: str | None = None
    cause: str | None = None
    rule: str | None = None
    channel: str | None = None
    fraud: bool | None = None

    @classmethod
    def of(cls, written: Sequence[str]) -> "Filter":
        """From `from=DECLINE`, `to=APPROVE`, `cause=rules`, `rule=ID`, `channel=web`, `fraud=yes`."""
        found: dict[str, str | bool] = {}
        for one in written:
            name, _, value = one.partition("=")
            if name not in _FILTERS or not value:
                raise InvalidInput(f"--only {one!r}: give one of {', '.join(f'{k}=...' for k in _FILTERS)}", "only")
            if value not in (_CHOICES.get(name) or (value,)):
                raise InvalidInput(f"--only {one!r}: choose from {', '.join(_CHOICES[name])}", "only")
            found[_FILTERS[name]] = value == "yes" if name == "fraud" else value
        return cls(**found)  # type: ignore[arg-type]

    def keep(self, table: pa.Table) -> pa.Table:
        wanted = {"champion": self.was, "candidate": self.now, "channel": self.channel, "fraud": self.fraud}
        for name, value in wanted.items():
            if value is not None:
                table = table.filter(pc.equal(table[name], value))
        if self.cause is not None:
            table = table.filter(pc.match_substring(table["cause"], self.cause))
        if self.rule is not None:
            table = table.filter(pa.array([self.rule in (one or ()) for one in table["rules"].to_pylist()], pa.bool_()))
        return table


_FILTERS = {"from": "was", "to": "now", "cause": "cause", "rule": "rule", "channel": "channel", "fraud": "fraud"}
_ACTIONS = tuple(action.name for action in Action)
_CHOICES = {"from": _ACTIONS, "to": _ACTIONS, "cause": (MODEL, RULES, THRESHOLDS), "fraud": ("yes", "no")}


def changes(events: pa.Table, champion: Decided, candidate: Decided, known: Known) -> pa.Table:
    """The events of a stretch whose outcome changes, as SCHEMA has them."""
    rows = np.flatnonzero(champion.trace.past.action != candidate.trace.past.action)
    about = events.take(pa.array(rows))
    columns: dict[str, object] = {name: about[name] for name in _ABOUT if name in events.column_names}
    columns["fraud"] = pa.array(known.label[rows], mask=~known.matured[rows])
    for side, made in zip(_BOTH, (champion.trace, candidate.trace), strict=True):
        columns[side] = pa.array([Action(code).name for code in made.past.action[rows].tolist()], pa.string())
        columns[f"{side}_score"] = made.past.score[rows]
        columns[f"{side}_probability"] = made.past.probability[rows]
        columns[f"{side}_review"], columns[f"{side}_decline"] = made.cuts.review[rows], made.cuts.decline[rows]
    columns["cause"] = pa.array(_causes(champion.trace, candidate.trace, rows), pa.string())
    moved = _moved(champion, candidate, rows)
    columns["rules"] = pa.array([[name for name, _ in one] for one in moved], _NAMES)
    columns["reason"] = pa.array(_reasons(champion.trace, candidate.trace, rows, moved), pa.string())
    made_up = {field.name: pa.nulls(rows.size, field.type) for field in SCHEMA}
    return pa.table({field.name: columns.get(field.name, made_up[field.name]) for field in SCHEMA}).cast(SCHEMA)


def _causes(was: Trace, now: Trace, rows: Ints) -> list[str]:
    """What suffices: parts of which each alone, put into the champion's decision, gives another outcome.

    Where none does, they did it together.
    """
    old, new = _inputs(was, rows), _inputs(now, rows)
    before = was.past.action[rows]
    sufficient = {part: settle(*_one_of(old, new, i))[1] != before for i, part in enumerate(_PARTS)}
    differing = dict(zip(_PARTS, _differing(old, new), strict=True))
    found = []
    for i in range(rows.size):
        alone = [part for part in _PARTS if sufficient[part][i]]
        together = [part for part in _PARTS if differing[part][i]]
        found.append(" or ".join(alone) or " and ".join(together))
    return found


_PARTS = (MODEL, RULES, THRESHOLDS)
_Inputs = tuple[npt.NDArray[np.float64], Effects, Cuts]


def _inputs(trace: Trace, rows: Ints) -> _Inputs:
    asked = trace.effects
    return (
        trace.past.probability[rows],
        Effects(asked.points[rows], asked.floor[rows], asked.allow[rows]),
        Cuts(trace.cuts.review[rows], trace.cuts.decline[rows]),
    )


def _one_of(old: _Inputs, new: _Inputs, place: int) -> _Inputs:
    """The champion's inputs with one of the candidate's."""
    return (
        new[0] if place == 0 else old[0],
        new[1] if place == 1 else old[1],
        new[2] if place == 2 else old[2],
    )


def _differing(old: _Inputs, new: _Inputs) -> tuple[Flags, Flags, Flags]:
    model = ~((old[0] == new[0]) | (np.isnan(old[0]) & np.isnan(new[0])))
    asked = (old[1].points != new[1].points) | (old[1].floor != new[1].floor) | (old[1].allow != new[1].allow)
    return model, asked, (old[2].review != new[2].review) | (old[2].decline != new[2].decline)


def _moved(champion: Decided, candidate: Decided, rows: Ints) -> list[list[tuple[str, str]]]:
    """For each row the rules that did not do the same for both releases, with words."""
    found: list[list[tuple[str, str]]] = [[] for _ in range(rows.size)]
    place = {row: i for i, row in enumerate(rows.tolist())}
    was, now = ({rule.id: rule for rule in one.rules} for one in (champion, candidate))
    for rule_id in dict.fromkeys([*was, *now]):
        old, new = _asked(champion, was.get(rule_id), rows), _asked(candidate, now.get(rule_id), rows)
        for row in old.keys() | new.keys():
            if old.get(row) != new.get(row):
                found[place[row]].append((rule_id, _words(rule_id, old.get(row), new.get(row))))
    return found


def _asked(decided: Decided, rule: Rule | None, rows: Ints) -> Mapping[int, str]:
    """What a rule asks for, in words, of those of the rows where it asks for anything."""
    if rule is None:
        return {}
    ran, hits, cautions = decided.trace.ran[rule.id], " and ".join(_effects(rule)), rule.cautious
    unable = f"{cautions.name} for want of a value" if cautions else ""
    found = dict.fromkeys(np.intersect1d(rows, ran.hit).tolist(), hits) if hits else {}
    return found | (dict.fromkeys(np.intersect1d(rows, ran.unable).tolist(), unable) if unable else {})


def _effects(rule: Rule) -> Iterator[str]:
    if rule.points:
        yield f"+{rule.points}"
    if rule.floor:
        yield f"at least {rule.floor.name}"
    if rule.allow:
        yield "allowed"


def _words(rule_id: str, old: str | None, new: str | None) -> str:
    if old is None:
        return f"now {rule_id} ({new})"
    return f"no longer {rule_id} ({old})" if new is None else f"{rule_id} {new}, was {old}"


def _reasons(was: Trace, now: Trace, rows: Ints, moved: Sequence[Sequence[tuple[str, str]]]) -> Iterator[str]:
    for row, rules in zip(rows.tolist(), moved, strict=True):
        parts = [words for _, words in rules]
        before, after = (model_score(float(one.past.probability[row])) for one in (was, now))
        if before != after:
            parts.insert(0, f"model's score {after}, was {before}")
        for name in ("review", "decline"):
            old, new = int(getattr(was.cuts, name)[row]), int(getattr(now.cuts, name)[row])
            if old != new:
                parts.append(f"{name} from {new}, was {old}")
        score, earlier = int(now.past.score[row]), int(was.past.score[row])
        head = f"score {score}" if score == earlier else f"score {score}, was {earlier}"
        yield f"{head}: {'; '.join(parts)}"
