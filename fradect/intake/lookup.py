"""Where addresses are, from an operator's table of ranges: for columns of addresses, and for one in microseconds."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from fradect.errors import InvalidInput
from fradect.features.globe import NOWHERE
from fradect.intake.range_table import RangeTable, keys_of, read_table, try_key
from fradect.mapping import Mapping
from fradect.modules.declaration import FieldType
from fradect.money import Ints

Filler = Callable[[pa.Array], pa.Array]


class Whereabouts(NamedTuple):
    """`country` is ISO 3166 alpha-2; None and -1 where the table does not know."""

    country: str | None
    place: int


NOT_IN_ANY_RANGE = Whereabouts(None, NOWHERE)


@dataclass(frozen=True, slots=True, eq=False)
class IpRanges:
    """Answers from a table. An address in no range is unknown, so a private one is, unless a range names it."""

    table: RangeTable

    @classmethod
    def read(cls, path: Path) -> "IpRanges":
        """A CSV of ranges, or two lines of ends and countries (docs/concepts/import.md); InvalidInput with the line."""
        return cls(read_table(path))

    def of(self, ip: str) -> Whereabouts:
        """Of one address as `clean_ip` writes it; of any other text nothing is known."""
        key, table = try_key(ip), self.table
        if key is None:
            return NOT_IN_ANY_RANGE
        at = bisect_right(table.first, key) - 1
        if at < 0 or key > table.last[at : at + 1].tobytes():
            return NOT_IN_ANY_RANGE
        return Whereabouts(table.codes[table.country[at]], int(table.place[at]))

    def filler(self, kind: FieldType) -> Filler:
        """What fills a field of this type, COUNTRY or PLACE, from a column of addresses."""
        if kind is FieldType.COUNTRY:
            return self.countries
        if not (self.table.place != NOWHERE).any():
            raise InvalidInput("the IP table has no latitude and longitude: add them, or take the lookup out")
        return self.places

    def countries(self, ips: pa.Array) -> pa.Array:
        """Null where unknown."""
        ranges, rows = self._ranges(ips)
        known = _of(ranges, self.table.country, 0)
        return pa.array(self.table.codes, pa.string()).take(pa.array(known)).take(rows)

    def places(self, ips: pa.Array) -> pa.Array:
        """int64, null where unknown."""
        ranges, rows = self._ranges(ips)
        known = _of(ranges, self.table.place, NOWHERE)
        return pa.array(known, pa.int64(), mask=known == NOWHERE).take(rows)

    def _ranges(self, ips: pa.Array) -> tuple[Ints, pa.Array]:
        """The range of each different address, -1 for none, and which of these addresses each row has."""
        encoded = ips.dictionary_encode()
        tried = [try_key(ip) for ip in encoded.dictionary.to_pylist()]
        keys = keys_of(key or b"" for key in tried)
        at = np.searchsorted(self.table.first, keys, side="right") - 1
        valid = np.array([key is not None for key in tried], np.bool_)
        return np.where(valid & self.table.holds(keys, at), at, -1), encoded.indices


def fillers(mapping: Mapping, table: Path | None) -> dict[str, Filler]:
    """What fills each field that the mapping looks up, from the table at this path, or InvalidInput."""
    if table is None:
        return {}
    ranges, columns = IpRanges.read(table), mapping.module.columns
    return {lookup.field: ranges.filler(columns[lookup.field]) for lookup in mapping.lookups}


def _of(ranges: Ints, values: Ints, otherwise: int) -> Ints:
    """The value of each range; `values` may be empty, of a table without a range."""
    known = np.full(ranges.shape, otherwise)
    known[ranges >= 0] = values[ranges[ranges >= 0]]
    return known
