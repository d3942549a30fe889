"""Where addresses are, from tables of ranges: against a naive search, and what a table gets wrong."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fradect.errors import InvalidInput
from fradect.features.globe import NOWHERE, place_at
from fradect.intake import IpRanges
from fradect.intake.lookup import NOT_IN_ANY_RANGE, Whereabouts
from fradect.modules.declaration import FieldType

TWO_LINES = "# a licence\n\n255,511,1023\nDE,-,FR\n"
HEADER = "first,last,country,latitude,longitude\n"
BERLIN = place_at(52.52, 13.41)
CSV = f"""# an operator's own
{HEADER}192.0.2.0,192.0.2.127,DE,52.52,13.41
192.0.2.128/25,,FR,,

2001:db8::/32,,nl,52.37,4.9
10.0.0.1,,,55.75,37.62
2001:db9::,2001:db9::ff,-,,
198.51.100.7,198.51.100.7,ZZ,52.52,13.41
"""


def ranges(folder: Path, text: str) -> IpRanges:
    path = folder / "table.csv"
    path.write_text(text)
    return IpRanges.read(path)


def test_a_table_says_country_and_place_of_both_families(tmp_path: Path) -> None:
    table = ranges(tmp_path, CSV)
    assert table.of("192.0.2.0") == table.of("192.0.2.127") == Whereabouts("DE", BERLIN)
    assert table.of("192.0.2.128") == table.of("192.0.2.255") == Whereabouts("FR", NOWHERE)
    assert table.of("2001:db8:ffff::1") == Whereabouts("NL", place_at(52.37, 4.9))
    assert table.of("198.51.100.7") == Whereabouts(None, BERLIN)
    assert table.of("::ffff:192.0.2.1") == table.of("192.0.2.1")  # how a socket of both families writes it


@pytest.mark.parametrize(
    "ip", ["192.0.1.255", "192.0.3.0", "10.0.0.2", "::", "ffff::", "2001:db9::1", "fe80::1%eth0", "no address", "1\0"]
)
def test_what_no_range_holds_is_unknown(ip: str, tmp_path: Path) -> None:
    """A private address too, unless a range names it."""
    assert ranges(tmp_path, CSV).of(ip) == NOT_IN_ANY_RANGE == (None, -1)


def test_a_range_names_a_private_address(tmp_path: Path) -> None:
    assert ranges(tmp_path, CSV).of("10.0.0.1") == Whereabouts(None, place_at(55.75, 37.62))


def test_columns_get_nulls_where_nothing_is_known(tmp_path: Path) -> None:
    table = ranges(tmp_path, CSV)
    ips = pa.array(["192.0.2.1", None, "10.0.0.9", "192.0.2.200", "192.0.2.1", "fe80::1%eth0"])
    assert table.filler(FieldType.COUNTRY)(ips).to_pylist() == ["DE", None, None, "FR", "DE", None]
    assert table.filler(FieldType.PLACE)(ips).to_pylist() == [BERLIN, None, None, None, BERLIN, None]
    assert table.countries(ips.slice(3, 2)).to_pylist() == ["FR", "DE"]
    empty = ranges(tmp_path, HEADER)
    assert empty.countries(ips).to_pylist() == [None] * 6
    assert empty.of("192.0.2.1") == NOT_IN_ANY_RANGE


def test_a_table_without_coordinates_fills_no_place(tmp_path: Path) -> None:
    table = ranges(tmp_path, "first,last,country\n192.0.2.0/24,,DE\n")
    assert table.of("192.0.2.9") == Whereabouts("DE", NOWHERE)
    with pytest.raises(InvalidInput, match="no latitude and longitude"):
        table.filler(FieldType.PLACE)


IPS = st.one_of(
    st.integers(0, 40).map(IPv4Address),
    st.integers(2**32 - 40, 2**32 - 1).map(IPv4Address),
    st.integers(0, 40).map(IPv6Address),
    st.integers(2**128 - 40, 2**128 - 1).map(IPv6Address),
    st.integers(2**127 - 300, 2**127 + 300).map(IPv6Address),  # bytes of zeros at the end, and of ones
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ends=st.lists(IPS, unique_by=int, max_size=20), asked=st.lists(IPS, min_size=1), chance=st.randoms())
def test_answers_are_those_of_a_search_through_all_ranges(
    tmp_path: Path, ends: list[IPv4Address | IPv6Address], asked: list[IPv4Address | IPv6Address], chance: Random
) -> None:
    """Ranges between every second pair of ends, in any order in the file."""
    bounds = []
    for family in (IPv4Address, IPv6Address):
        mine = sorted((ip for ip in ends if isinstance(ip, family)), key=int)
        bounds += list(zip(mine[::2], mine[1::2], strict=False))
    chance.shuffle(bounds)
    codes = ["DE", "FR", "NL", "US", "JP"]
    lines = [f"{first},{last},{codes[i % 5]},{i},{-i}\n" for i, (first, last) in enumerate(bounds)]
    table = ranges(tmp_path, HEADER + "".join(lines))

    def searched(ip: IPv4Address | IPv6Address) -> Whereabouts:
        for i, (first, last) in enumerate(bounds):
            if type(ip) is type(first) and int(first) <= int(ip) <= int(last):
                return Whereabouts(codes[i % 5], place_at(i, -i))
        return NOT_IN_ANY_RANGE

    expected = [searched(ip) for ip in asked]
    assert [table.of(str(ip)) for ip in asked] == expected
    column = pa.array([str(ip) for ip in asked], pa.string())
    assert table.countries(column).to_pylist() == [country for country, _ in expected]
    assert table.places(column).fill_null(NOWHERE).to_pylist() == [place for _, place in expected]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("192.0.2.64,192.0.3.0,DE,,", "line 5: it overlaps with line 3; cut"),
        ("0.0.0.0/0,,DE,,", "line 5: it overlaps with line 3"),
        ("192.0.4.9,192.0.4.1,DE,,", "line 5: 192.0.4.9 comes after 192.0.4.1"),
        ("192.0.4.9,2001:db8::,DE,,", "of the other family"),
        ("192.0.4.9/24,,DE,,", "'192.0.4.9/24' to '' is no range; write two addresses"),
        ("192.0.4.0/24,192.0.4.9,DE,,", "is no range"),
        ("192.0.4,192.0.5,DE,,", "is no range"),
        ("3232235776,3232235779,DE,,", "is no range"),
        (",,DE,,", "is no range"),
        ("192.0.4.1,,UK,,", "line 5: 'UK' is no country; use ISO 3166"),
        ("192.0.4.1,,DE,91,0", "(91, 0) is no place; give degrees"),
        ("192.0.4.1,,DE,52.5,", "(52.5, ) is no place"),
        ("192.0.4.1,,DE,nan,0", "is no place"),
        ("192.0.4.1,,DE", "line 5: it has 3 values; the header names 5"),
        ('192.0.4.1,,"DE,,', "quotation mark"),
        ('192.0.4.1,,"DE,,\n192.0.5.1,,DE",52.5,13.4', "line 6: a value goes over several lines"),
    ],
)
def test_what_a_table_gets_wrong_is_named_with_its_line(line: str, words: str, tmp_path: Path) -> None:
    text = f"# a comment\n{HEADER}192.0.2.0/24,,DE,52.52,13.41\n\n{line}\n"
    with pytest.raises(InvalidInput) as refused:
        ranges(tmp_path, text)
    assert words in str(refused.value)
    assert str(tmp_path / "table.csv") in str(refused.value)


def test_a_header_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"line 1: the header is first,last,land; write first,last,country,lat"):
        ranges(tmp_path, "first,last,land\n")


def test_two_lines_are_a_table_too(tmp_path: Path) -> None:
    """As IP2Location's extract is written: a range includes its end, and begins after the one before."""
    table = ranges(tmp_path, TWO_LINES)
    asked = pa.array(["0.0.0.1", "0.0.0.255", "0.0.1.0", "0.0.2.0", "0.0.3.255", "0.0.4.0", "::1", None])
    assert table.countries(asked).to_pylist() == ["DE", "DE", None, "FR", "FR", None, None, None]
    assert [table.of(ip).country for ip in asked.to_pylist()[:-1]] == ["DE", "DE", None, "FR", "FR", None, None]


@pytest.mark.parametrize(
    "text", ["", "# only a comment\n", "1,2\nDE\n", "2,1\nDE,FR\n", "a,b\nDE,FR\n", "4294967296\nDE"]
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInput, match="IP table"):
        ranges(tmp_path, text)
    with pytest.raises(InvalidInput, match="cannot be read"):
        IpRanges.read(tmp_path / "absent.csv")


def test_the_real_table(shared_data: Path) -> None:
    table = IpRanges.read(shared_data / "geo" / "ip_country.csv")
    assert table.of("8.8.8.8") == Whereabouts("US", NOWHERE)
    assert table.of(str(ip_address("10.0.0.1"))) == NOT_IN_ANY_RANGE
