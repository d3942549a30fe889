"""Columns of times, made UTC microseconds; `fradect.events.to_micros` judges what is not plainly written."""

import math
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fradect.events import SKEW, UNITS, Clock, Notation, to_micros
from fradect.faults import Fault, Reason
from fradect.intake.columns import CODES, Codes, Column, faulty, fine, is_text, judged, matches, texts, verdict
from fradect.money import Flags, Ints
from fradect.types import MINUTE

MOMENT = pa.timestamp("us", tz="UTC")

_NAIVE = r"^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?$"
_ZONED = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d)$"
# Clocks are set at full quarters of an hour, so one look at the zone serves all times within a quarter.
_QUARTER = 15 * MINUTE
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  a local time


def times(raw: pa.Array, clock: Clock, notation: Notation) -> Column:
    """Any column of times as timestamp[us, UTC]; a local time that never was is a fault."""
    if pa.types.is_dictionary(raw.type):
        raw = raw.dictionary_decode()
    kind = raw.type
    if pa.types.is_null(kind):
        return fine(raw.cast(MOMENT))
    if is_text(kind):
        return _of_texts(texts(raw, notation), clock)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _of_moments(raw, clock)
    if pa.types.is_integer(kind) and clock.unit is not None:
        return _of_integers(raw, clock)
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return _of_floats(raw, clock)
    return faulty(len(raw), MOMENT, Reason.TIME)


def plausible(column: Column, now: int) -> Column:
    """The same column, times before 1970 and after `now` (five minutes of skew apart) at fault."""
    micros = as_micros(column.values)
    faults: Codes = np.where(micros < 0, CODES[Reason.TOO_EARLY], column.faults).astype(np.uint8)
    faults = np.where(micros > now + SKEW, CODES[Reason.FUTURE], faults).astype(np.uint8)
    return Column(column.values, faults)


def as_micros(values: pa.Array) -> Ints:
    """int64 microseconds, 0 where missing."""
    micros: Ints = pc.fill_null(values.cast(pa.int64()), 0).to_numpy()
    return micros


def _of_texts(column: Column, clock: Clock) -> Column:
    if clock.format is not None:
        return _formatted(column, clock)
    for pattern, kind in ((_NAIVE, pa.timestamp("us")), (_ZONED, MOMENT)):
        if matches(column.values, pattern).all():
            try:
                parsed = column.values.cast(kind)
            except pa.ArrowInvalid:
                break  # 30 February and its like
            done = _localised(parsed, clock.zone) if kind.tz is None else Column(parsed, column.faults)
            return Column(done.values, np.maximum(done.faults, column.faults))
    return judged(column, partial(to_micros, clock=clock), MOMENT)


def _of_moments(raw: pa.Array, clock: Clock) -> Column:
    if pa.types.is_timestamp(raw.type) and raw.type.tz is not None:
        return fine(raw.cast(MOMENT, safe=False))
    return _localised(raw.cast(pa.timestamp("us"), safe=False), clock.zone)


def _formatted(column: Column, clock: Clock) -> Column:
    """By strptime. C's takes 30 February for 2 March, so the first three days of a month are judged again."""
    form = clock.format or ""
    if "%z" in form or "%Z" in form:
        return judged(column, partial(to_micros, clock=clock), MOMENT)
    parsed = pc.strptime(column.values, format=form, unit="us", error_is_null=True)
    day = pc.fill_null(pc.day(parsed), 0).to_numpy()
    odd = (day <= 3) & pc.is_valid(column.values).to_numpy(zero_copy_only=False)
    done = _localised(parsed, clock.zone)
    if not odd.any():
        return Column(done.values, np.maximum(done.faults, column.faults))
    again = judged(column, partial(to_micros, clock=clock), MOMENT, odd)
    values = pc.if_else(pa.array(odd), again.values, done.values)
    return Column(values, np.where(odd, again.faults, np.maximum(done.faults, column.faults)))


def _of_integers(raw: pa.Array, clock: Clock) -> Column:
    scale = UNITS[clock.unit or ""]
    values: Ints = pc.fill_null(raw, 0).cast(pa.int64(), safe=False).to_numpy()
    valid: Flags = pc.is_valid(raw).to_numpy(zero_copy_only=False)
    limit = 2**63 - 1 if scale is None else 2**62 // scale
    huge = valid & ((values > limit) | (values < -limit))
    micros = values // 1000 if scale is None else np.where(huge, 0, values) * scale
    faults = np.where(huge, CODES[Reason.TIME], 0).astype(np.uint8)
    return Column(pa.array(micros, mask=~valid | huge).cast(MOMENT), faults)


def _of_floats(raw: pa.Array, clock: Clock) -> Column:
    values = [None if value is None or math.isnan(value) else float(value) for value in raw.to_pylist()]
    law = partial(to_micros, clock=clock)
    verdicts = [(None, np.uint8(0)) if value is None else verdict(law, value) for value in values]
    faults = np.array([code for _, code in verdicts], np.uint8)
    return Column(pa.array([micros for micros, _ in verdicts], pa.int64()).cast(MOMENT), faults)


def _localised(naive: pa.Array, zone: ZoneInfo) -> Column:
    if zone.key == "UTC":
        return fine(naive.cast(MOMENT))
    local = as_micros(naive)
    quarters, at = np.unique(local // _QUARTER, return_inverse=True)
    offsets = [_offset(int(quarter) * _QUARTER, zone) for quarter in quarters]
    never = np.array([offset is None for offset in offsets], np.bool_)[at]
    utc = local - np.array([offset or 0 for offset in offsets], np.int64)[at]
    valid: Flags = pc.is_valid(naive).to_numpy(zero_copy_only=False)
    faults = np.where(never & valid, CODES[Reason.TIME], 0).astype(np.uint8)
    return Column(pa.array(utc, mask=~valid | (faults != 0)).cast(MOMENT), faults)


def _offset(local: int, zone: ZoneInfo) -> int | None:
    """What the zone's clocks are ahead of UTC at a local time; None when they skip it."""
    try:
        return local - to_micros(_EPOCH + timedelta(microseconds=local), Clock(zone))
    except (Fault, OverflowError):
        return None
