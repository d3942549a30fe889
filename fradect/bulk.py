"""A whole release over a million past events: model, rules and policy by columns, to the bit what `judge` says of each.

What columns cannot tell for sure (see `fradect.rulebook.vectors`) is asked of the engine, event by event.
"""

from collections.abc import Iterator
from dataclasses import dataclass
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
from fradect.types import DAY, HOUR, Action, Event, Vector

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

AT_ONCE = 65_536  # events; what is held of them fits the processor's caches better than a million would
_ABOUT = "event."


@dataclass(frozen=True, slots=True)
class _Effects:
    """What rules ask for, of each event."""

    points: Ints
    floor: Ints
    allow: Flags


def decide_many(release: Loaded, events: pa.Table, matrix: Floats) -> Past:
    """Decide past events as the service would have, without lists.

    `events`: event_time (int64 microseconds or a timestamp) and the event's fields by name, null where unknown, in
    the log's types; fields that are no column are unknown. `matrix`: their vectors, (n, features).
    """
    if events.num_rows != matrix.shape[0]:
        raise InvalidInput(f"{events.num_rows} events, but {matrix.shape[0]} vectors", field="matrix")
    plain = _plain(events)
    parts = [_decide(release, part, rows) for part, rows in _parts(plain, matrix)]
    if not parts:
        return Past(np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64))
    return Past(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("probability", "score", "action"))
    )


def _parts(events: pa.Table, matrix: Floats) -> Iterator[tuple[pa.Table, Floats]]:
    for start in range(0, matrix.shape[0], AT_ONCE):
        yield events.slice(start, AT_ONCE), matrix[start : start + AT_ONCE]


def _plain(events: pa.Table) -> pa.Table:
    """Times as microseconds, the way events carry them."""
    for i, field in enumerate(events.schema):
        if pa.types.is_timestamp(field.type):
            events = events.set_column(
                i, field.name, events[field.name].cast(pa.timestamp("us", field.type.tz)).cast("int64")
            )
    return events


def _decide(release: Loaded, events: pa.Table, matrix: Floats) -> Past:
    probability = release.model.probability(matrix)
    silent = np.isnan(probability)
    effects = _effects(release, events, matrix)
    cuts = _cuts(release.policy, events)
    score = to_scores(np.where(silent, 0.0, probability)) + effects.points
    score = np.where(effects.allow, np.minimum(score, np.maximum(cuts.review - 1, 0)), score)
    score = np.clip(score, 0, 1000)
    by_score = np.where(effects.allow, Action.APPROVE, actions(score, cuts))
    cautious = np.where(silent, Action.REVIEW, Action.APPROVE)
    return Past(probability, score, np.maximum(np.maximum(by_score, effects.floor), cautious))


def _effects(release: Loaded, events: pa.Table, matrix: Floats) -> _Effects:
    n, rules = matrix.shape[0], release.rules
    columns = {name: _column(release, name, events, matrix) for name in rules.reading.needed}
    missing = {name: _missing(column) for name, column in columns.items()}
    found = _Effects(np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.bool_))
    unsure = np.zeros(n, np.bool_)
    for rule, conditions in rules.conditions:
        unable = np.logical_or.reduce([missing[name] for name in rule.needs])
        hit, miss = ~unable, unable.copy()
        for name, cell in conditions.items():
            one = truth(cell, name, columns)
            hit &= one.yes
            miss |= one.no
        unsure |= ~(hit | miss)
        found.points[hit] += rule.points
        np.maximum(found.floor, np.where(unable, rule.cautious, np.where(hit, rule.floor, 0)), out=found.floor)
        if rule.allow:
            np.logical_or(found.allow, hit, out=found.allow)
    _ask(release, events, matrix, np.flatnonzero(unsure), found)
    return found


def _ask(release: Loaded, events: pa.Table, matrix: Floats, rows: Ints, found: _Effects) -> None:
    """The engine's own answer for these rows, into what was found."""
    names = release.contract.names
    for i, fields, values in zip(rows.tolist(), events.take(rows).to_pylist(), matrix[rows].tolist(), strict=True):
        event = Event("", "", release.module.name, fields["event_time"], fields["event_time"], fields)
        findings = release.rules.find(event, Vector(names, tuple(values)))
        effects = findings.effects
        found.points[i], found.allow[i] = effects.points, effects.allow
        found.floor[i] = max(effects.floor, Action.REVIEW if findings.broken else Action.APPROVE)


def _column(release: Loaded, name: str, events: pa.Table, matrix: Floats) -> Column:
    """A value that rules look at, as the engine would get it."""
    numbers = release.rules.reading.numbers_of(name, matrix)
    if numbers is not None:
        return numbers
    if name == f"{_ABOUT}hour":
        hour: Floats = (events["event_time"].to_numpy() % DAY // HOUR).astype(np.float64)
        return hour
    field = name.removeprefix(_ABOUT)
    if not name.startswith(_ABOUT) or field not in events.column_names:
        return np.full(events.num_rows, np.nan)
    held = events[field].combine_chunks()
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
