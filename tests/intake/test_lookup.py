"""Countries of addresses from a table of ranges."""

from pathlib import Path

import pyarrow as pa
import pytest

from fradect.errors import InvalidInput
from fradect.intake import IpCountries

TABLE = "# a licence\n\n255,511,1023\nDE,-,FR\n"


def table(folder: Path, text: str = TABLE) -> Path:
    path = folder / "table.csv"
    path.write_text(text)
    return path


def test_a_range_includes_its_end(tmp_path: Path) -> None:
    countries = IpCountries.read(table(tmp_path))
    asked = pa.array(["0.0.0.255", "0.0.1.0", "0.0.2.0", "0.0.3.255", "0.0.4.0", "::1", None])
    assert countries(asked).to_pylist() == ["DE", None, "FR", "FR", None, None, None]
    assert countries.of("0.0.0.1") == "DE"
    assert countries.of("::1") is None


@pytest.mark.parametrize("text", ["", "# only a comment\n", "1,2\nDE\n", "2,1\nDE,FR\n", "a,b\nDE,FR\n"])
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInput, match="IP table"):
        IpCountries.read(table(tmp_path, text))
    with pytest.raises(InvalidInput, match="cannot be read"):
        IpCountries.read(tmp_path / "absent.csv")


def test_the_real_table(shared_data: Path) -> None:
    countries = IpCountries.read(shared_data / "geo" / "ip_country.csv")
    assert countries.of("8.8.8.8") == "US"
    assert countries.of("10.0.0.1") is None
