"""Mappings: YAML that says how a source's columns become events. Strict: what is not understood is refused."""

import codecs
import re
from collections.abc import Iterable
from collections.abc import Mapping as ReadOnly
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from fradect.errors import InvalidInput
from fradect.events import UNITS, Clock, Notation, clean
from fradect.faults import Fault
from fradect.features.contract import Contract
from fradect.mapping_document import Column, Costs, Dialect, Label, Lookup, hash_document, read_document
from fradect.modules import contract_of, module_of
from fradect.modules.declaration import CostModel, FieldType, Module
from fradect.money import EXPONENTS, Rates, decimal_of
from fradect.types import DAY, HOUR, MINUTE, SECOND, OutcomeKind

_SEGMENT = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_DURATION = re.compile(r"(\d{1,6})([dhms])")
_SPANS = {"d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND}
TEXTUAL = frozenset(
    {
        FieldType.ID,
        FieldType.CATEGORY,
        FieldType.CURRENCY,
        FieldType.COUNTRY,
        FieldType.IP,
        FieldType.DOMAIN,
    }
)


@dataclass(frozen=True, slots=True)
class LabelSource:
    """`known_after` in microseconds."""

    kind: OutcomeKind
    column: str
    known_after: int | None
    known_at: Column | None


@dataclass(frozen=True, slots=True)
class LookupSource:
    """`table` is relative where it lies beside what is imported."""

    field: str
    key: str
    table: Path


@dataclass(frozen=True, slots=True)
class Mapping:
    """A checked mapping. `hash` covers what the document says, not how it is laid out."""

    name: str
    module: Module
    contract: Contract
    tenant: str
    base_currency: str
    time_zone: ZoneInfo
    event_id: Column
    event_time: Column
    observed_at: Column | None
    fields: ReadOnly[str, Column]
    constants: ReadOnly[str, str]
    outcomes: tuple[LabelSource, ...]
    lookups: tuple[LookupSource, ...]
    rates: ReadOnly[str, Rates]
    ignore: frozenset[str]
    numeric_ids: frozenset[str]
    nulls: tuple[str, ...]
    dialect: Dialect
    costs: CostModel
    hash: str

    @property
    def columns(self) -> frozenset[str]:
        """Every column of the source that is read."""
        named = [self.event_id, self.event_time, *self.fields.values()]
        optional = [self.observed_at, *(label.known_at for label in self.outcomes)]
        used = {column.column for column in (*named, *optional) if column is not None}
        return frozenset(used | {label.column for label in self.outcomes})

    @property
    def supplied(self) -> frozenset[str]:
        """Every field of the module that gets a value."""
        return frozenset((*self.fields, *self.constants, *(lookup.field for lookup in self.lookups)))

    @property
    def taken(self) -> tuple[tuple[str, str], ...]:
        """Fields that no column gives, but a personal one that is mapped; each with that one."""
        found = ((name, of) for name, of in self.module.taken if of in self.fields)
        return tuple((name, of) for name, of in found if name not in self.supplied)

    @property
    def notation(self) -> Notation:
        return Notation(self.nulls, self.dialect.decimal)

    def range_table(self, source: Path) -> Path | None:
        """The table that lookups read when this file or folder is imported."""
        if not self.lookups:
            return None
        return (source if source.is_dir() else source.parent) / self.lookups[0].table

    def clock(self, column: Column) -> Clock:
        zone = self.time_zone if column.time_zone is None else _zone(column.time_zone)
        return Clock(zone, column.format, column.unit)


def load_mapping(path: Path, tables: ReadOnly[str, Path] = MappingProxyType({})) -> Mapping:
    """Read a mapping. `tables` says where the table of a looked-up field lies instead of where the file says."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"mapping {path} cannot be read ({type(error).__name__}): give a YAML file") from error
    return parse_mapping(text, path.stem, path.parent, tables)


def parse_mapping(text: str, name: str, folder: Path, tables: ReadOnly[str, Path] = MappingProxyType({})) -> Mapping:
    """The mapping that `text` writes down; `folder` is what its relative paths start from."""
    document = read_document(text, name)
    contract = contract_of(document.contract)
    module = module_of(contract.module)
    mapping = Mapping(
        name=document.name or name,
        module=module,
        contract=contract,
        tenant=document.tenant,
        base_currency=document.base_currency,
        time_zone=_zone(document.time_zone),
        event_id=_column(document.event_id),
        event_time=_column(document.event_time),
        observed_at=None if document.observed_at is None else _column(document.observed_at),
        fields={field: _column(column) for field, column in document.fields.items()},
        constants=_constants(module, document.constants),
        outcomes=tuple(_label(kind, label) for kind, label in sorted(document.outcomes.items())),
        lookups=tuple(
            LookupSource(field, lookup.key, _table(lookup, folder, tables.get(field)))
            for field, lookup in sorted(document.lookups.items())
        ),
        rates={code: _rates(code, pairs) for code, pairs in document.rates.items()},
        ignore=frozenset(document.ignore),
        numeric_ids=frozenset(document.numeric_ids),
        nulls=document.nulls,
        dialect=document.csv,
        costs=_costs(module.costs, document.costs),
        hash=hash_document(document),
    )
    _check(mapping)
    return mapping


def check_tenant(tenant: str) -> str:
    """A tenant's name is a folder's name too."""
    if not _SEGMENT.fullmatch(tenant):
        raise InvalidInput(
            f"tenant {tenant!r}: use 1 to 64 lower-case letters, digits, dashes and underscores", field="tenant"
        )
    return tenant


def _column(written: str | Column) -> Column:
    return Column(written) if isinstance(written, str) else written


def _table(lookup: Lookup, folder: Path, instead: Path | None) -> Path:
    if instead is None and lookup.beside == "source":
        return Path(lookup.table)
    return (instead or folder / lookup.table).absolute()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(f"time zone {name!r} is unknown: use a name such as Europe/Berlin") from error


def _duration(text: str) -> int:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InvalidInput(f"{text!r} is no duration: write 7d, 12h, 30m or 45s")
    return int(match[1]) * _SPANS[match[2]]


def _constants(module: Module, constants: ReadOnly[str, str]) -> dict[str, str]:
    cleaned = {}
    for name, value in constants.items():
        field = module.field(name)
        if field is None or field.type not in TEXTUAL:
            raise InvalidInput(f"{name!r} cannot be a constant: only textual, non-personal fields can", field=name)
        try:
            cleaned[name] = clean(field, value)
        except Fault as fault:
            raise fault.at(name) from fault
    return cleaned


def _label(kind: str, label: Label) -> LabelSource:
    if kind not in list(OutcomeKind):
        raise InvalidInput(f"outcome {kind!r} is unknown: choose from {', '.join(OutcomeKind)}", field=kind)
    if label.known_after is None and label.known_at is None:
        raise InvalidInput(f"outcome {kind}: say when it is known, by known_after or known_at", field=kind)
    after = None if label.known_after is None else _duration(label.known_after)
    known_at = None if label.known_at is None else _column(label.known_at)
    return LabelSource(OutcomeKind(kind), label.column, after, known_at)


def _rates(code: str, pairs: Iterable[tuple[date, str | float | int]]) -> Rates:
    _check_currency(code, "rates")
    rates = Rates.of([(day, decimal_of(rate)) for day, rate in pairs])
    if len(set(rates.days)) < len(rates.days) or not rates.days or min(rates.values) <= 0:
        raise InvalidInput(f"rates of {code}: give at least one, each above zero and of its own day", field="rates")
    return rates


def _costs(usual: CostModel, own: Costs) -> CostModel:
    given = {name: value for name, value in msgspec.structs.asdict(own).items() if value is not None}
    return CostModel(**(asdict(usual) | given))


def _check_currency(code: str, key: str) -> None:
    if code not in EXPONENTS:
        raise InvalidInput(f"{key}: currency {code!r} is not in ISO 4217: use a code such as EUR", field=key)


def _check(mapping: Mapping) -> None:
    check_tenant(mapping.tenant)
    _check_currency(mapping.base_currency, "base_currency")
    _check_dialect(mapping.dialect)
    _check_fields(mapping)
    _check_columns(mapping)
    missing = [name for name in mapping.contract.requires if name not in mapping.supplied]
    if missing:
        raise InvalidInput(
            f"mapping {mapping.name}: {mapping.contract.name} requires {', '.join(missing)}: name a column under "
            "fields, or a value under constants",
            field=missing[0],
        )


def _check_dialect(dialect: Dialect) -> None:
    try:
        codecs.lookup(dialect.encoding)
    except LookupError as error:
        raise InvalidInput(
            f"csv encoding {dialect.encoding!r} is unknown: use utf-8 or latin-1", field="csv"
        ) from error
    if len(dialect.delimiter.encode()) != 1 or dialect.decimal not in (".", ","):
        raise InvalidInput("csv: the delimiter is one sign, the decimal sign a point or a comma", field="csv")


def _check_fields(mapping: Mapping) -> None:
    named = [*mapping.fields, *mapping.constants, *(lookup.field for lookup in mapping.lookups)]
    for name in named:
        if mapping.module.field(name) is None:
            known = ", ".join(field.name for field in mapping.module.fields)
            raise InvalidInput(f"field {name!r} is unknown to {mapping.module.name}: choose from {known}", field=name)
        if named.count(name) > 1:
            raise InvalidInput(f"field {name!r} is given twice: keep one of field, constant and lookup", field=name)
        declared = mapping.module.field(name)
        if name in mapping.fields and declared is not None and declared.type is FieldType.PLACE:
            raise InvalidInput(f"field {name!r} is looked up from a table, not read: name it under lookups", field=name)
    for lookup in mapping.lookups:
        _check_lookup(mapping, lookup)


def _check_lookup(mapping: Mapping, lookup: LookupSource) -> None:
    field, key = mapping.module.field(lookup.field), mapping.module.field(lookup.key)
    found = field is not None and field.type in (FieldType.COUNTRY, FieldType.PLACE)
    if not found or key is None or key.type is not FieldType.IP or key.name not in mapping.fields:
        raise InvalidInput(
            f"lookup {lookup.field}: only a country or a place can be looked up, from an IP field that is mapped",
            field=lookup.field,
        )
    if lookup.table != mapping.lookups[0].table:
        raise InvalidInput(f"lookup {lookup.field}: all lookups are from one table, give it both", field=lookup.field)


def _check_personal(mapping: Mapping) -> None:
    personal = {field.name for field in mapping.module.fields if field.type is FieldType.PERSONAL}
    sealed = {column.column for name, column in mapping.fields.items() if name in personal}
    clear = {column.column for name, column in mapping.fields.items() if name not in personal}
    both = sealed & {*clear, mapping.event_id.column}
    if both:
        raise InvalidInput(f"column {min(both)!r} is personal: it cannot feed a field that is stored in clear as well")


def _check_columns(mapping: Mapping) -> None:
    _check_personal(mapping)
    both = mapping.columns & mapping.ignore
    if both:
        raise InvalidInput(f"column {min(both)!r} is both mapped and ignored: remove one")
    stray = mapping.numeric_ids - mapping.columns
    if stray:
        raise InvalidInput(f"numeric_ids names column {min(stray)!r}, which is not mapped")
    for name, column in (("event_time", mapping.event_time), *mapping.fields.items()):
        field = mapping.module.field(name)
        kind = FieldType.TIME if field is None else field.type
        units = {FieldType.TIME: set(UNITS), FieldType.MONEY: {"major", "minor"}}.get(kind, set())
        if column.unit is not None and column.unit not in units:
            choice = f"choose from {', '.join(sorted(units))}" if units else "leave it out"
            raise InvalidInput(f"unit {column.unit!r} of {name}: {choice}", field=name)
        if kind is FieldType.IP and column.format not in (None, "number"):
            raise InvalidInput(f"format {column.format!r} of {name}: leave it out, or write number", field=name)
