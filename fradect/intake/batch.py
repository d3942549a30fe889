"""Raw rows into canonical events: pure, a batch at a time. What cannot be taken comes back with its reason."""

from collections.abc import Callable, Iterator
from collections.abc import Mapping as ReadOnly
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fradect.errors import InvalidInput
from fradect.events import PHONES, SKEW, clean, clean_text, domain_of
from fradect.faults import Reason
from fradect.intake.amounts import base_amounts, money
from fradect.intake.columns import (
    Column,
    clean_texts,
    fine,
    ips,
    judged,
    labels,
    missing,
    numbers,
    texts,
)
from fradect.intake.rejects import Reject, rejects
from fradect.intake.sheet import Sheet
from fradect.intake.times import MOMENT, as_micros, plausible, times
from fradect.mapping import LabelSource, Mapping
from fradect.mapping_document import Column as Source
from fradect.modules.declaration import Field, FieldType
from fradect.money import Flags, Ints
from fradect.ports import Vault

PLACE = "place"
"""The staged column that orders rows of equal time: source number times 2**40, plus row number."""
ROWS_PER_SOURCE = 2**40

_ARROW = {
    FieldType.MONEY: pa.int64(),
    FieldType.PLACE: pa.int64(),
    FieldType.NUMBER: pa.float64(),
    FieldType.TIME: MOMENT,
}


class Batch(NamedTuple):
    """Rows as the source has them; `rows` are their numbers, 1 for the first after the header."""

    records: pa.RecordBatch
    rows: Ints


class Intake(NamedTuple):
    """`accepted` has the columns of `staged_schema`; blank lines are in none of the three."""

    accepted: pa.RecordBatch
    rejects: list[Reject]
    held_back: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What an import knows beside its mapping: the time, from when on events are left out (microseconds), who
    seals personal fields, and the looked-up columns by name."""

    now: int
    until: int | None
    vault: Vault | None
    lookups: ReadOnly[str, Callable[[pa.Array], pa.Array]]


def field_type(kind: FieldType) -> pa.DataType:
    """How a canonical column of this type is stored."""
    return _ARROW.get(kind, pa.string())


def staged_schema(mapping: Mapping) -> pa.Schema:
    """Columns of accepted rows: the mapped ones of the log, two for each outcome, and the row's place."""
    kinds = {PLACE: pa.int64(), "event_id": pa.string(), "event_time": MOMENT, "observed_at": MOMENT}
    personal = {field.name for field in mapping.module.fields if field.type is FieldType.PERSONAL}
    stored = set(mapping.supplied - personal) | {"amount_base"} | {name for name, _ in mapping.taken}
    stored |= {f"{name}_{form}" for name in personal & mapping.supplied for form in ("token", "cipher")}
    kinds |= {name: field_type(kind) for name, kind in mapping.module.columns.items() if name in stored}
    for label in mapping.outcomes:
        kinds |= {f"{label.kind}_value": pa.bool_(), f"{label.kind}_known_at": MOMENT}
    return pa.schema(kinds)


def take_in(mapping: Mapping, terms: Terms, batch: Batch, source: int) -> Intake:
    """Judge a batch. Rows of one that `until` holds back are neither accepted nor rejected, whatever is in them."""
    sheet = Sheet(batch.records.num_rows)
    _put_identity(sheet, mapping, terms, batch.records)
    for field in _in_order(mapping):
        _put_field(sheet, mapping, terms, batch.records, field)
    for label in mapping.outcomes:
        _put_label(sheet, mapping, batch.records, label)
    sheet.put("amount_base", base_amounts(sheet, mapping))
    blank = sheet.blank()
    for name in ("event_id", "event_time", *mapping.contract.requires):
        sheet.blame(name, missing(fine(sheet.columns[name])), Reason.MISSING)
    held = _held_back(sheet, terms.until)
    accepted = (sheet.codes == 0) & ~held
    sheet.columns[PLACE] = pa.array(batch.rows + source * ROWS_PER_SOURCE)
    kept = {name: values.filter(pa.array(accepted)) for name, values in sheet.columns.items()}
    for name, of in mapping.taken:
        kept[name] = _domains(kept[of])
    _seal(kept, mapping, terms.vault)
    schema = staged_schema(mapping)
    records = pa.RecordBatch.from_arrays([kept[name] for name in schema.names], schema=schema)
    rejected = np.flatnonzero((sheet.codes > 0) & ~held & ~blank)
    return Intake(records, list(rejects(sheet, mapping, batch.records, batch.rows, rejected)), int(held.sum()))


def _put_identity(sheet: Sheet, mapping: Mapping, terms: Terms, records: pa.RecordBatch) -> None:
    notation = mapping.notation
    sheet.put("event_id", _free_text(mapping, mapping.event_id, records[mapping.event_id.column]))
    for name, source in (("event_time", mapping.event_time), ("observed_at", mapping.observed_at)):
        if source is not None:
            column = times(records[source.column], mapping.clock(source), notation)
            sheet.put(name, plausible(column, terms.now))
    happened = sheet.columns["event_time"]
    observed = sheet.columns["observed_at"] = pc.coalesce(sheet.columns.get("observed_at", happened), happened)
    early = as_micros(observed) < as_micros(happened) - SKEW
    sheet.blame("observed_at", early, Reason.KNOWN_EARLY)


def _in_order(mapping: Mapping) -> Iterator[Field]:
    """The supplied fields, money last, since it needs the currency, and lookups after what they start from."""
    looked_up = {lookup.field for lookup in mapping.lookups}
    supplied = [field for field in mapping.module.fields if field.name in mapping.supplied]
    return iter(sorted(supplied, key=lambda f: (f.type is FieldType.MONEY, f.name in looked_up)))


def _put_field(sheet: Sheet, mapping: Mapping, terms: Terms, records: pa.RecordBatch, field: Field) -> None:
    name = field.name
    if name in mapping.constants:
        sheet.columns[name] = pa.repeat(pa.scalar(mapping.constants[name]), sheet.size)
    elif name in mapping.fields:
        source = mapping.fields[name]
        if field.type is FieldType.MONEY:
            sheet.put(name, money(sheet, mapping, source, records[source.column]))
        else:
            sheet.put(name, _read(mapping, terms, field, records[source.column]))
    else:
        key = next(lookup.key for lookup in mapping.lookups if lookup.field == name)
        sheet.put(name, fine(terms.lookups[name](sheet.columns[key])))


def _read(mapping: Mapping, terms: Terms, field: Field, raw: pa.Array) -> Column:
    source, notation = mapping.fields[field.name], mapping.notation
    match field.type:
        case FieldType.TIME:
            return plausible(times(raw, mapping.clock(source), notation), terms.now)
        case FieldType.NUMBER:
            return numbers(raw, notation)
        case FieldType.IP:
            return ips(raw, notation, source.format == "number")
        case FieldType.CURRENCY | FieldType.COUNTRY | FieldType.DOMAIN:
            return judged(texts(raw, notation), _translated(source, partial(clean, field)), pa.string())
        case _:
            return _free_text(mapping, source, raw, is_phone=field.name in PHONES)


def _free_text(mapping: Mapping, source: Source, raw: pa.Array, *, is_phone: bool = False) -> Column:
    law = partial(clean_text, is_phone=is_phone, may_be_number=source.column in mapping.numeric_ids)
    column = texts(raw, mapping.notation)
    if source.values:
        return judged(column, _translated(source, law), pa.string())
    return clean_texts(column, law)


def _translated(source: Source, law: Callable[[str], str]) -> Callable[[str], str]:
    table = {str(raw): value for raw, value in source.values.items()}
    return lambda text: law(table.get(text, text))


def _put_label(sheet: Sheet, mapping: Mapping, records: pa.RecordBatch, label: LabelSource) -> None:
    """An outcome without a time at which it became known is not known yet: it gives no row."""
    notation = mapping.notation
    value = labels(records[label.column], notation)
    sheet.put(f"{label.kind}_value", value)
    happened = sheet.columns["event_time"]
    known = pa.nulls(sheet.size, MOMENT)
    if label.known_at is not None:
        given = times(records[label.known_at.column], mapping.clock(label.known_at), notation)
        sheet.put(f"{label.kind}_known_at", given)
        known = given.values
    if label.known_after is not None:
        known = pc.coalesce(known, pc.add(happened, pa.scalar(label.known_after, pa.duration("us"))))
    early = pc.and_(pc.is_valid(value.values), pc.less(known, happened))
    early = pc.fill_null(early, False).to_numpy(zero_copy_only=False)
    sheet.blame(f"{label.kind}_known_at", early, Reason.KNOWN_EARLY)
    sheet.columns[f"{label.kind}_known_at"] = known


def _held_back(sheet: Sheet, until: int | None) -> Flags:
    if until is None:
        return np.zeros(sheet.size, np.bool_)
    held: Flags = as_micros(sheet.columns["event_time"]) >= until
    return held


def _domains(emails: pa.Array) -> pa.Array:
    """Null where an address has none."""
    encoded = emails.dictionary_encode()
    domains = [None if email is None else domain_of(email) for email in encoded.dictionary.to_pylist()]
    return pa.array(domains, pa.string()).take(encoded.indices)


def _seal(columns: dict[str, pa.Array], mapping: Mapping, vault: Vault | None) -> None:
    """Replace clear text by token and cipher; equal texts of a batch share the work of a token."""
    tenant, ids = mapping.tenant, columns["event_id"]
    owner_field = mapping.module.entities.get("customer", "")
    owners = columns.get(owner_field, pa.nulls(len(ids), pa.string()))
    for field in mapping.module.fields:
        if field.type is not FieldType.PERSONAL or field.name not in mapping.fields:
            continue
        if vault is None:
            raise InvalidInput(f"{field.name} is personal: an import that maps it needs a vault", field=field.name)
        name, clear = field.name, columns.pop(field.name)
        known = pc.is_valid(clear)
        encoded = clear.dictionary_encode()
        tokens = [vault.token(tenant, name, text) for text in encoded.dictionary.to_pylist()]
        columns[f"{name}_token"] = pa.array(tokens, pa.string()).take(encoded.indices)
        whose = owners.filter(known).to_pylist()
        keys = vault.keys_of(tenant, dict.fromkeys(owner for owner in whose if owner is not None))
        rows = zip(whose, ids.filter(known).to_pylist(), clear.filter(known).to_pylist(), strict=True)
        sealed = pa.array(
            [
                vault.seal(tenant, name, event_id, text)
                if (key := keys.get(owner)) is None
                else key.seal(name, event_id, text)
                for owner, event_id, text in rows
            ],
            pa.string(),
        )
        columns[f"{name}_cipher"] = pc.replace_with_mask(pa.nulls(len(clear), pa.string()), known, sealed)
