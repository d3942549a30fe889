"""The tour moves into a place of its own, or not at all."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.tour_home import move_in
from fradect.errors import Refused


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    os.environ |= {"FRADECT_LEDGER_URL": "postgresql+psycopg://theirs", "FRADECT_STORE_URL": "s3://theirs"}
    yield
    os.environ.clear()
    os.environ.update(before)


def test_a_home_that_somebody_works_in_is_refused_and_stays(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("decisions")
    with pytest.raises(Refused, match="no home of a former tour"):
        move_in(tmp_path)
    assert (tmp_path / "ledger.db").read_text() == "decisions"
    with pytest.raises(Refused, match="no home of a former tour"):
        move_in(tmp_path / "ledger.db")
    assert os.environ["FRADECT_STORE_URL"] == "s3://theirs"


def test_a_former_tour_gives_way(tmp_path: Path) -> None:
    move_in(tmp_path / "tour")
    (tmp_path / "tour" / "ledger.db").write_text("old")
    move_in(tmp_path / "tour")
    assert [path.name for path in (tmp_path / "tour").iterdir()] == [".tour"]


def test_nothing_of_the_machines_own_installation_is_reached(tmp_path: Path) -> None:
    move_in(tmp_path)
    ours = {name: value for name, value in os.environ.items() if name.startswith("FRADECT_")}
    assert set(ours) == {"FRADECT_HOME", "FRADECT_PORT"}
    assert ours["FRADECT_HOME"] == str(tmp_path)
    assert int(ours["FRADECT_PORT"]) > 0
