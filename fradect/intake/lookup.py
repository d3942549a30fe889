"""Countries of IPv4 addresses from a table of ranges, for columns and for single addresses."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from fradect.errors import InvalidInput
from fradect.events import COUNTRIES
from fradect.money import Ints


@dataclass(frozen=True, slots=True, eq=False)
class IpCountries:
    """Range i ends at `ends[i]` (inclusive) and belongs to `codes[i]`, null where nobody's."""

    ends: Ints
    codes: pa.StringArray

    @classmethod
    def read(cls, path: Path) -> "IpCountries":
        """Lines after `#`: first the ascending ends of ranges as integers, then their ISO 3166 codes."""
        try:
            lines = [line for line in path.read_text(encoding="ascii").splitlines() if line and line[0] != "#"]
            ends = np.array(lines[0].split(","), np.int64)
            codes = [code if code in COUNTRIES else None for code in lines[1].split(",")]
        except (OSError, UnicodeDecodeError, IndexError, ValueError) as error:
            raise InvalidInput(
                f"IP table {path} cannot be read ({type(error).__name__}): name the table of the mapping's lookup, "
                "or take the lookup out"
            ) from error
        if len(codes) != len(ends) or not bool((np.diff(ends) > 0).all()):
            raise InvalidInput(f"IP table {path}: needs ascending ends of ranges and as many codes")
        return cls(ends, pa.array(codes, pa.string()))

    def __call__(self, ips: pa.Array) -> pa.Array:
        """The countries of canonical addresses, null for IPv6, unassigned and missing ones."""
        encoded = ips.dictionary_encode()
        numbers = np.array([_number(ip) for ip in encoded.dictionary.to_pylist()], np.int64)
        at = np.searchsorted(self.ends, numbers)
        outside = (numbers < 0) | (at >= len(self.ends))
        return self.codes.take(pa.array(at, mask=outside)).take(encoded.indices)

    def of(self, ip: str) -> str | None:
        """The country of one canonical address."""
        code: str | None = self(pa.array([ip]))[0].as_py()
        return code


def _number(ip: str) -> int:
    if ":" in ip:
        return -1
    return int(ipaddress.IPv4Address(ip))
