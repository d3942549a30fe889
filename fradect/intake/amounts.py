"""Money of a batch: amounts in minor units of their currency, and in the tenant's base currency."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fradect.faults import Fault, Reason
from fradect.intake.columns import CODES, Codes, Column, amounts
from fradect.intake.sheet import Sheet
from fradect.intake.times import as_micros
from fradect.mapping import Mapping
from fradect.mapping_document import Column as Source
from fradect.money import EXPONENTS, Ints, base_of_minors, exponent_of, to_base


def money(sheet: Sheet, mapping: Mapping, source: Source, raw: pa.Array) -> Column:
    """Amounts by the exponent of each row's currency, which must be on the sheet already."""
    codes, at = _currencies(sheet, mapping)
    in_minor = source.unit == "minor"
    exponents = np.array([0 if in_minor else EXPONENTS[code] for code in codes], np.int64)[at]
    return amounts(raw, exponents, mapping.notation)


def base_amounts(sheet: Sheet, mapping: Mapping) -> Column:
    """`amount` in the base currency, at the rate of the day it happened on."""
    amount = sheet.columns.get("amount")
    if amount is None:
        return Column(pa.nulls(sheet.size, pa.int64()), np.zeros(sheet.size, np.uint8))
    minor: Ints = pc.fill_null(amount, 0).to_numpy()
    base, faults = minor.copy(), np.zeros(sheet.size, np.uint8)
    absent = pc.is_null(amount).to_numpy(zero_copy_only=False)
    codes, at = _currencies(sheet, mapping)
    when = as_micros(sheet.columns["event_time"])
    for i, code in enumerate(codes):
        if code != mapping.base_currency:
            rows = np.flatnonzero((at == i) & ~absent)
            base[rows], faults[rows] = _converted(mapping, code, minor[rows], when[rows])
    return Column(pa.array(base, mask=absent | (faults > 0)), faults)


def _currencies(sheet: Sheet, mapping: Mapping) -> tuple[list[str], Ints]:
    """The currencies that occur, and each row's among them; rows without one count as the base currency's."""
    column = sheet.columns.get("currency")
    if column is None:
        return [mapping.base_currency], np.zeros(sheet.size, np.int64)
    encoded = pc.fill_null(column, mapping.base_currency).dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _converted(mapping: Mapping, code: str, minor: Ints, when: Ints) -> tuple[Ints, Codes]:
    base, faults = np.zeros_like(minor), np.full(len(minor), CODES[Reason.NO_RATE], np.uint8)
    if code not in mapping.rates:
        return base, faults
    rates, exponents = mapping.rates[code], (exponent_of(code), exponent_of(mapping.base_currency))
    since = np.searchsorted(rates.starts, when, side="right") - 1
    for i, rate in enumerate(rates.values):
        rows = np.flatnonzero(since == i)
        base[rows], sure = base_of_minors(minor[rows], rate, *exponents)
        faults[rows] = 0
        for row in rows[~sure]:
            try:
                base[row] = to_base(int(minor[row]), rate, *exponents)
            except Fault as fault:
                faults[row] = CODES[fault.reason]
    return base, faults
