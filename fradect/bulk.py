"""A whole release over a million past events: model, rules and policy by columns, to the bit what `judge` says of each.

What columns cannot tell for sure (see `fradect.rulebook.vectors`) is asked of the engine, event by event.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fradect.bands import AMOUNT, CHANNEL, Cuts
from fradect.errors import InvalidInput
from fradect.judgement import Loaded
from fradect.past import Past
from fradect.policy import Policy, actions, to_scores
from fradect.rulebook.inputs import MOST
from fradect.rulebook.vectors import Column, Floats, Texts, truth
from fradect.rules import Findings
from fradect.types import DAY, HOUR, Action, Event, Vector

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

AT_ONCE = 65_536  # events; what is held of them fits the processor's caches better than a million would
_ABOUT, SAID = "event.", "signal."


@dataclass(frozen=True, slots=True)
class Effects:
    """What rules ask for, of each event."""

    points: Ints
    floor: Ints
    allow: Flags


@dataclass(frozen=True, slots=True)
class Ran:
    """Rows of events that a rule hit, and of those for which it could not run."""

    hit: Ints
    unable: Ints


@dataclass(frozen=True, slots=True)
class Trace:
    """Decisions with what they came from. `ran`: by rule's id; `broken`: rows for which a table gave no answer."""

    past: Past
    effects: Effects
    cuts: Cuts
    ran: Mapping[str, Ran]
    broken: Ints


@dataclass(slots=True)
class _Found:
    """Effects as they are gathered, and where each came from if that is kept."""

    effects: Effects
    ran: dict[str, Ran] | None = None
    broken: list[int] = field(default_factory=list)


def decide_many(release: Loaded, events: pa.Table, matrix: Floats) -> Past:
    """Decide past events as the service would have.

    `events`: event_time (int64 microseconds or a timestamp) and the event's fields by name, null where unknown, in
    the log's types; fields that are no column are unknown. Columns `signal.<name>` are flags, what lists said; without
    them it is decided without lists. `matrix`: their vectors, (n, features).
    """
    _check(events, matrix)
    plain = _plain(events)
    parts = [_decide(release, part, rows, _nothing_kept(rows)).past for part, rows in _parts(plain, matrix)]
    if not parts:
        return Past(np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64))
    return Past(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("probability", "score", "action"))
    )


def trace(release: Loaded, events: pa.Table, matrix: Floats) -> Trace:
    """The same decisions with what each came from, all at once: give it no more than AT_ONCE."""
    _check(events, matrix)
    found = _nothing_kept(matrix)
    found.ran = {}
    return _decide(release, _plain(events), matrix, found)


def settle(probability: Floats, effects: Effects, cuts: Cuts) -> tuple[Ints, Ints]:
    """Score and Action of each event, from the three things that they hang on; NaN: the model said nothing."""
    silent = np.isnan(probability)
    score = to_scores(np.where(silent, 0.0, probability)) + effects.points
    score = np.where(effects.allow, np.minimum(score, np.maximum(cuts.review - 1, 0)), score)
    score = np.clip(score, 0, 1000)
    by_score = np.where(effects.allow, Action.APPROVE, actions(score, cuts))
    cautious = np.where(silent, Action.REVIEW, Action.APPROVE)
    return score, np.maximum(np.maximum(by_score, effects.floor), cautious)


def _check(events: pa.Table, matrix: Floats) -> None:
    if events.num_rows != matrix.shape[0]:
        raise InvalidInput(f"{events.num_rows} events, but {matrix.shape[0]} vectors", field="matrix")


def _nothing_kept(matrix: Floats) -> _Found:
    n = matrix.shape[0]
    return _Found(Effects(np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.bool_)))


def _parts(events: pa.Table, matrix: Floats) -> Iterator[tuple[pa.Table, Floats]]:
    for start in range(0, matrix.shape[0], AT_ONCE):
        yield events.slice(start, AT_ONCE), matrix[start : start + AT_ONCE]


def _plain(events: pa.Table) -> pa.Table:
    """Times as microseconds, the way events carry them."""
    for i, column in enumerate(events.schema):
        if pa.types.is_timestamp(column.type):
            events = events.set_column(
                i, column.name, events[column.name].cast(pa.timestamp("us", column.type.tz)).cast("int64")
            )
    return events


def _decide(release: Loaded, events: pa.Table, matrix: Floats, found: _Found) -> Trace:
    probability = release.model.probability(matrix)
    _gather(release, events, matrix, found)
    cuts = _cuts(release.policy, events)
    past = Past(probability, *settle(probability, found.effects, cuts))
    return Trace(past, found.effects, cuts, found.ran or {}, np.array(found.broken, np.int64))


def _gather(release: Loaded, events: pa.Table, matrix: Floats, found: _Found) -> None:
    rules, effects = release.rules, found.effects
    columns = {name: _column(release, name, events, matrix) for name in rules.reading.needed}
    missing = {name: _missing(column) for name, column in columns.items()}
    unsure = np.zeros(matrix.shape[0], np.bool_)
    for rule, conditions in rules.conditions:
        unable = np.logical_or.reduce([missing[name] for name in rule.needs])
        hit, miss = ~unable, unable.copy()
        for name, cell in conditions.items():
            one = truth(cell, name, columns)
            hit &= one.yes
            miss |= one.no
        unsure |= ~(hit | miss)
        effects.points[hit] += rule.points
        np.maximum(effects.floor, np.where(unable, rule.cautious, np.where(hit, rule.floor, 0)), out=effects.floor)
        if rule.allow:
            np.logical_or(effects.allow, hit, out=effects.allow)
        if found.ran is not None:
            found.ran[rule.id] = Ran(np.flatnonzero(hit), np.flatnonzero(unable))
    _ask(release, events, matrix, np.flatnonzero(unsure), found)


def _ask(release: Loaded, events: pa.Table, matrix: Floats, rows: Ints, found: _Found) -> None:
    """The engine's own answer for these rows, into what was found."""
    names, asked = release.contract.names, dict[int, Findings]()
    for i, fields, values in zip(rows.tolist(), events.take(rows).to_pylist(), matrix[rows].tolist(), strict=True):
        event = Event("", "", release.module.name, fields["event_time"], fields["event_time"], fields)
        said = {name.removeprefix(SAID): value for name, value in fields.items() if name.startswith(SAID)}
        findings = asked[i] = release.rules.find(event, Vector(names, tuple(values)), said)
        effects = findings.effects
        found.effects.points[i], found.effects.allow[i] = effects.points, effects.allow
        found.effects.floor[i] = max(effects.floor, Action.REVIEW if findings.broken else Action.APPROVE)
    if found.ran is not None and asked:
        found.broken += [i for i, findings in asked.items() if findings.broken]
        found.ran = {rule_id: _corrected(ran, rows, rule_id, asked) for rule_id, ran in found.ran.items()}


def _corrected(ran: Ran, rows: Ints, rule_id: str, asked: Mapping[int, Findings]) -> Ran:
    hit = [i for i, findings in asked.items() if any(one.id == rule_id for one in findings.hits)]
    unable = [i for i, findings in asked.items() if rule_id in findings.could_not_run]
    pairs = ((ran.hit, hit), (ran.unable, unable))
    return Ran(*(np.union1d(np.setdiff1d(claimed, rows), said).astype(np.int64) for claimed, said in pairs))


def _column(release: Loaded, name: str, events: pa.Table, matrix: Floats) -> Column:
    """A value that rules look at, as the engine would get it."""
    numbers = release.rules.reading.numbers_of(name, matrix)
    if numbers is not None:
        return numbers
    if name == f"{_ABOUT}hour":
        hour: Floats = (events["event_time"].to_numpy() % DAY // HOUR).astype(np.float64)
        return hour
    column = name if name.startswith(SAID) else name.removeprefix(_ABOUT)
    if not name.startswith((_ABOUT, SAID)) or column not in events.column_names:
        return np.full(events.num_rows, np.nan)
    held = events[column].combine_chunks()
    if name.startswith(SAID):
        return Texts((False, True), pc.fill_null(held.cast(pa.int64()), -1).to_numpy())
    if pa.types.is_integer(held.type) or pa.types.is_floating(held.type):
        return _numbers(release, name, held)
    coded = held if pa.types.is_dictionary(held.type) else held.dictionary_encode()
    texts = coded.dictionary.to_pylist()
    fits = np.array([*(release.rules.reading.fits(name, text) for text in texts), False])
    codes = pc.fill_null(coded.indices, len(texts)).to_numpy().astype(np.int64)
    return Texts(tuple(texts), np.where(fits[codes], codes, -1))


def _numbers(release: Loaded, name: str, held: pa.Array) -> Floats:
    values: Floats = held.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.where((np.abs(values) < MOST) & release.rules.reading.fits(name, 0), values, np.nan)


def _missing(column: Column) -> Flags:
    return column.codes < 0 if isinstance(column, Texts) else np.isnan(column)


def _cuts(policy: Policy, events: pa.Table) -> Cuts:
    """Each event's thresholds: the first band's that holds it."""
    n = events.num_rows
    review, decline = np.full(n, policy.review, np.int64), np.full(n, policy.decline, np.int64)
    if policy.bands:
        asked = list(zip(_values(events, CHANNEL), _values(events, AMOUNT), strict=True))
        bands = {(channel, amount): policy.at({CHANNEL: channel, AMOUNT: amount}) for channel, amount in set(asked)}
        review[:] = [bands[one].review for one in asked]
        decline[:] = [bands[one].decline for one in asked]
    return Cuts(review, decline)


def _values(events: pa.Table, name: str) -> list[Any]:
    return list(events[name].to_pylist()) if name in events.column_names else [None] * events.num_rows
