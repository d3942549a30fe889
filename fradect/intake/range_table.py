"""Tables of IP ranges as operators write them, read strictly: what is wrong is named by its line."""

import csv
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from itertools import chain
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_pton

import numpy as np
import numpy.typing as npt

from fradect.errors import InvalidInput
from fradect.events import COUNTRIES
from fradect.features.globe import NOWHERE, place_at
from fradect.money import Flags, Ints

Keys = npt.NDArray[np.bytes_]

HEADERS = (["first", "last", "country"], ["first", "last", "country", "latitude", "longitude"])
_V4, _V6 = b"4", b"6"
_MAPPED = b"\0" * 10 + b"\xff\xff"  # an IPv4 address as a socket of both families writes it
_WIDTH = 17
_NOBODYS = frozenset({"", "-", "ZZ"})


@dataclass(frozen=True, slots=True, eq=False)
class RangeTable:
    """Range i goes from `first[i]` to `last[i]`, both included; ranges ascend and never meet.

    `country` counts in `codes`, of which the first is nobody's; `place` is -1 where the file says none.
    """

    first: Keys
    last: Keys
    country: Ints
    place: Ints
    codes: tuple[str | None, ...]

    def holds(self, keys: Keys, at: Ints) -> Flags:
        """Whether each key ends in the range `at`, at or before which it begins; -1 is no range."""
        if not self.last.size:
            return np.zeros(keys.shape, np.bool_)
        held: Flags = (at >= 0) & (keys <= self.last[at])
        return held


def read_table(path: Path) -> RangeTable:
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = ((n, line) for n, line in enumerate(file, 1) if line.strip() and line[0] != "#")
            head = next(lines, (1, ""))
            if head[1].replace(" ", "").lower().split(",")[0] == "first":
                return _Reader(path, chain([head], lines)).read()
            return _two_lines(path, [head[1], *(line for _, line in lines)])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(
            f"IP table {path} cannot be read ({type(error).__name__}): name a file of ranges, or take the lookup out"
        ) from error


def key_of(ip: str) -> bytes:
    """Family and address, to be compared as they stand; OSError for what is no address."""
    if ":" not in ip:
        return _V4 + inet_pton(AF_INET, ip)
    key = inet_pton(AF_INET6, ip)
    return _V4 + key[12:] if key.startswith(_MAPPED) else _V6 + key


def try_key(ip: str | None) -> bytes | None:
    try:
        return None if ip is None else key_of(ip)
    except (OSError, ValueError):  # ValueError: a NUL
        return None


def keys_of(keys: Iterable[bytes]) -> Keys:
    """Shorter ones are filled up with zeros."""
    return np.frombuffer(b"".join(key.ljust(_WIDTH, b"\0") for key in keys), f"S{_WIDTH}")


class _Reader:
    """The lines of one CSV on their way to ranges."""

    def __init__(self, path: Path, numbered: Iterable[tuple[int, str]]) -> None:
        self._path = path
        self._line = array("q")
        self._rows = csv.reader(self._counted(numbered), skipinitialspace=True, strict=True)
        self._codes: dict[str | None, int] = {None: 0}
        self._countries = dict.fromkeys(_NOBODYS, 0)
        self._places = {("", ""): NOWHERE}

    def read(self) -> RangeTable:
        """Row by row: a million of them as Python objects would be a gigabyte."""
        header = [name.strip().lower() for name in next(self._rows)]
        if header not in HEADERS:
            raise self._wrong(f"the header is {','.join(header)}", f"write {','.join(HEADERS[1])}")
        first, last, country, place = bytearray(), bytearray(), array("q"), array("q")
        for row in self._checked(len(header)):
            begin, end = self._bounds(row[0].strip(), row[1].strip())
            first += begin.ljust(_WIDTH, b"\0")
            last += end.ljust(_WIDTH, b"\0")
            country.append(self._country(row[2]))
            place.append(NOWHERE if len(row) == 3 else self._place(row[3], row[4]))
        from_, to = (np.frombuffer(bytes(side), f"S{_WIDTH}") for side in (first, last))
        return self._in_order(from_, to, np.array(country, np.int64), np.array(place, np.int64))

    def _wrong(self, what: str, remedy: str, row: int = -1) -> InvalidInput:
        return InvalidInput(f"IP table {self._path}, line {self._line[row]}: {what}; {remedy}")

    def _counted(self, numbered: Iterable[tuple[int, str]]) -> Iterator[str]:
        for number, line in numbered:
            self._line.append(number)
            yield line

    def _checked(self, width: int) -> Iterator[list[str]]:
        """The rows below the header."""
        try:
            for count, row in enumerate(self._rows, 2):
                if len(self._line) > count:
                    raise self._wrong("a value goes over several lines", "look for quotation marks")
                if len(row) != width:
                    raise self._wrong(f"it has {len(row)} values", f"the header names {width}")
                yield row
        except csv.Error as error:
            raise self._wrong(f"it is not CSV ({error})", "look for quotation marks") from error

    def _bounds(self, first: str, last: str) -> tuple[bytes, bytes]:
        try:
            if "/" in first and not last:
                network = ip_network(first)
                return key_of(str(network[0])), key_of(str(network[-1]))
            begin, end = key_of(first), key_of(last or first)
        except (OSError, ValueError):
            what = f"{first!r} to {last!r} is no range"
            raise self._wrong(what, "write two addresses, or a network such as 192.0.2.0/24 alone") from None
        if begin > end or begin[0] != end[0]:
            raise self._wrong(f"{first} comes after {last}, or is of the other family", "write the lower one first")
        return begin, end

    def _country(self, text: str) -> int:
        known = self._countries.get(text)
        if known is None:
            code = text.strip().upper()
            if code not in COUNTRIES | _NOBODYS:
                raise self._wrong(f"{text!r} is no country", "use ISO 3166 alpha-2, such as DE, or leave it empty")
            known = 0 if code in _NOBODYS else self._codes.setdefault(code, len(self._codes))
            self._countries[text] = known
        return known

    def _place(self, latitude: str, longitude: str) -> int:
        point = latitude, longitude
        known = self._places.get(point)
        if known is None:
            try:
                known = NOWHERE if not "".join(point).strip() else place_at(float(point[0]), float(point[1]))
            except (ValueError, InvalidInput):
                what = f"({point[0]}, {point[1]}) is no place"
                raise self._wrong(what, "give degrees, such as 52.52 and 13.41, or leave both empty") from None
            self._places[point] = known
        return known

    def _in_order(self, first: Keys, last: Keys, country: Ints, place: Ints) -> RangeTable:
        order = np.argsort(first, kind="stable")
        first, last = first[order], last[order]
        meeting = np.flatnonzero(first[1:] <= last[:-1])
        if meeting.size:
            one, other = sorted(int(order[meeting[0] + i]) + 1 for i in (0, 1))
            raise self._wrong(f"it overlaps with line {self._line[one]}", "cut one of them, or take it out", other)
        told = np.flatnonzero((country[order] > 0) | (place[order] != NOWHERE))
        codes = tuple(self._codes)
        return RangeTable(first[told], last[told], country[order][told], place[order][told], codes)


def _two_lines(path: Path, lines: Sequence[str]) -> RangeTable:
    """Ascending ends of IPv4 ranges as whole numbers, each range beginning after the one before, then their codes."""
    try:
        ends = np.array(lines[0].split(","), np.int64)
        texts = lines[1].strip().split(",")
    except (IndexError, ValueError) as error:
        raise InvalidInput(
            f"IP table {path} cannot be read: begin it with {','.join(HEADERS[1])}, or give one line of ends of ranges "
            "and one of countries"
        ) from error
    ascending = bool((np.diff(ends) > 0).all()) and ends[0] >= 0 and ends[-1] < 2**32
    if len(texts) != len(ends) or not ascending:
        raise InvalidInput(f"IP table {path}: needs ascending ends of IPv4 ranges, and as many countries")
    codes = (None, *sorted(COUNTRIES.intersection(texts)))
    number = {code: i for i, code in enumerate(codes)}
    country = np.array([number.get(text, 0) for text in texts], np.int64)
    told = np.flatnonzero(country)
    first = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
    return RangeTable(_keys(first[told]), _keys(ends[told]), country[told], np.full(told.shape, NOWHERE), codes)


def _keys(numbers: Ints) -> Keys:
    keys = np.zeros((numbers.size, _WIDTH), np.uint8)
    keys[:, 0] = ord(_V4)
    keys[:, 1:5] = numbers.astype(">u4").view(np.uint8).reshape(-1, 4)
    return keys.view(f"S{_WIDTH}").ravel()
