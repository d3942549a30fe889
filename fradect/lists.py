"""Allow and deny lists in memory: what of an event stands on one, by tenant and module, when it was received."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from ipaddress import IPv6Network, ip_network
from socket import AF_INET, AF_INET6, inet_pton

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fradect.errors import InvalidInput
from fradect.events import IDS, clean_domain, clean_text
from fradect.faults import Fault
from fradect.modules import MODULES, module_of
from fradect.modules.declaration import FieldType, Module
from fradect.types import Event, Value

FOR_EVER = 2**63 - 1

_MAPPED = 0xFFFF << 32  # where IPv4 lies among IPv6 addresses
_LONGEST = 256


class ListName(StrEnum):
    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Entry:
    """A value on a list. `kind`: one of the module's; `value` as `canonical` writes it; `until`: microseconds."""

    tenant_id: str
    module: str
    list: ListName
    kind: str
    value: str
    until: int = FOR_EVER


def is_known(entry: Entry) -> bool:
    """Whether its module is one of ours, and has lists of its kind: another version may have written it."""
    return entry.module in MODULES and entry.kind in MODULES[entry.module].lists


def canonical(module: Module, kind: str, value: str) -> str:
    """The one spelling of a value: ranges of addresses as CIDR, domains in small letters, other ids as they are.

    InvalidInput says what is wrong with it; a card's number is never taken.
    """
    if kind not in module.lists:
        raise InvalidInput(f"lists of {module.name} hold no {kind!r}: choose from {', '.join(module.lists)}", "kind")
    try:
        text = clean_text(value, is_id=module.lists[kind] in IDS)
        match module.columns[module.lists[kind]]:
            case FieldType.IP:
                return _network(text)
            case FieldType.DOMAIN:
                return clean_domain(text)
    except Fault as fault:
        raise InvalidInput(f"{kind}: {fault}", kind) from fault  # a card's number is not repeated
    if not text or len(text) > _LONGEST:
        raise InvalidInput(f"{kind} {_shown(value)}: give 1 to {_LONGEST} characters", kind)
    return text


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise InvalidInput(
            f"ip {_shown(text)}: give an address or a range in CIDR, such as 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32; "
            f"{error}",
            "ip",
        ) from error


def _shown(text: str) -> str:
    return ascii(text[:60])


Until = dict[str, int]


@dataclass(slots=True)
class _Ranges:
    """Networks by how many bits of the address they leave open; the smallest first."""

    networks: dict[int, dict[int, int]] = field(default_factory=dict)

    def add(self, network: str, until: int) -> None:
        first, free = _span(network)
        held = self.networks.setdefault(free, {})
        held[first >> free] = max(until, held.get(first >> free, 0))

    def until(self, address: str) -> int:
        """When the last entry that holds the address expires; 0 where there is none, or it is no address."""
        if not self.networks:
            return 0
        number = _number(address)
        return max((held.get(number >> free, 0) for free, held in self.networks.items()), default=0)


def _span(network: str) -> tuple[int, int]:
    """First address and bits left open, IPv4 as it is mapped into IPv6."""
    found = ip_network(network)
    first = int(found.network_address)
    if isinstance(found, IPv6Network):
        return first, 128 - found.prefixlen
    return first | _MAPPED, 32 - found.prefixlen


def _number(address: str) -> int:
    try:
        if ":" in address:
            return int.from_bytes(inet_pton(AF_INET6, address))
        return int.from_bytes(inet_pton(AF_INET, address)) | _MAPPED
    except (OSError, ValueError):
        return -1 << 129  # no network has it


@dataclass(slots=True)
class _Shelf:
    """Entries of one list, kind, tenant and module."""

    exact: Until = field(default_factory=dict)
    ranges: _Ranges = field(default_factory=_Ranges)

    def add(self, kind: FieldType, entry: Entry) -> None:
        if kind is FieldType.IP:
            self.ranges.add(entry.value, entry.until)
        else:
            self.exact[entry.value] = max(entry.until, self.exact.get(entry.value, 0))

    def until(self, kind: FieldType, value: str) -> int:
        if kind is FieldType.IP:
            return self.ranges.until(value)
        if kind is FieldType.DOMAIN:
            return max(self.exact.get(domain, 0) for domain in _and_above(value))
        return self.exact.get(value, 0)


def _and_above(domain: str) -> Iterable[str]:
    """A domain and those it lies under: mail.example.org, example.org, org."""
    parts = domain.split(".")
    return (".".join(parts[i:]) for i in range(len(parts)))


_Kinds = tuple[tuple[str, str, FieldType], ...]
_EMPTY = _Shelf()


class Lists:
    """All entries of all tenants; never changed, only replaced. `of` is the port `Signals`."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._shelves: dict[tuple[str, str, str], _Shelf] = {}
        self._filled: set[tuple[str, str]] = set()
        self.size = 0
        for entry in entries:
            self._add(entry)
            self.size += 1

    def _add(self, entry: Entry) -> None:
        module = module_of(entry.module)
        name = f"{entry.list}_{entry.kind}"
        shelf = self._shelves.setdefault((entry.tenant_id, entry.module, name), _Shelf())
        shelf.add(module.columns[module.lists[entry.kind]], entry)
        self._filled.add((entry.tenant_id, entry.module))

    def of(self, event: Event) -> Mapping[str, Value]:
        """True or false for every list and kind, but for kinds of which the event has no value."""
        found: dict[str, Value] = {}
        filled = (event.tenant_id, event.module) in self._filled
        for name, column, kind in _signals(event.module):
            value = event.fields.get(column)
            if isinstance(value, str) and value:
                found[name] = filled and self._holds(event, name, kind, value)
        return found

    def _holds(self, event: Event, name: str, kind: FieldType, value: str) -> bool:
        shelf = self._shelves.get((event.tenant_id, event.module, name), _EMPTY)
        return shelf.until(kind, value) > event.observed_at


NOTHING_LISTED = Lists(())


@cache
def _signals(name: str) -> _Kinds:
    """Signal, the field it looks at and that field's type, for every list and kind of a module."""
    module = module_of(name)
    columns = module.columns
    return tuple(
        (f"{side}_{kind}", column, columns[column]) for kind, column in module.lists.items() for side in ListName
    )


@dataclass(frozen=True, slots=True)
class Spell:
    """An entry, and from when until when (not included; microseconds) it was in force."""

    entry: Entry
    since: int
    until: int


class ListsThen:
    """What stood on one tenant's lists of a module at any time, for past events by columns."""

    def __init__(self, module: Module, spells: Iterable[Spell]) -> None:
        self._module = module
        self._exact: dict[tuple[str, str], list[Spell]] = {}
        self._ranges: dict[str, list[tuple[int, int, Spell]]] = {}
        for spell in spells:
            name = f"{spell.entry.list}_{spell.entry.kind}"
            if module.columns[module.lists[spell.entry.kind]] is FieldType.IP:
                self._ranges.setdefault(name, []).append((*_span(spell.entry.value), spell))
            else:
                self._exact.setdefault((name, spell.entry.value), []).append(spell)

    def columns(self, events: pa.Table) -> dict[str, pa.Array]:
        """Of every signal a flag an event, as `Lists.of` would have said it at `observed_at` (int64 microseconds).

        Null where an event has no value to be looked for; fields that are no column are left out.
        """
        observed = events["observed_at"].to_numpy()
        return {
            name: self._column(name, kind, events[column], observed)
            for name, column, kind in _signals(self._module.name)
            if column in events.column_names
        }

    def _column(
        self, name: str, kind: FieldType, held: pa.ChunkedArray, observed: npt.NDArray[np.int64]
    ) -> pa.BooleanArray:
        coded = held.combine_chunks().dictionary_encode()
        texts = coded.dictionary.to_pylist()
        codes = coded.indices.fill_null(len(texts)).to_numpy()
        listed = np.zeros(codes.size, np.bool_)
        for code, text in enumerate(texts):
            for spell in self._spells(name, kind, text):
                listed |= (codes == code) & (spell.since <= observed) & (observed < spell.until)
        empty = np.array([not isinstance(text, str) or not text for text in texts] + [True])
        return pa.array(listed, mask=empty[codes])

    def _spells(self, name: str, kind: FieldType, text: str) -> Iterator[Spell]:
        if kind is FieldType.IP:
            ranges = self._ranges.get(name, ())
            number = _number(text) if ranges else 0
            yield from (spell for first, free, spell in ranges if number >> free == first >> free)
        elif self._exact:
            for value in _and_above(text) if kind is FieldType.DOMAIN else (text,):
                yield from self._exact.get((name, value), ())
