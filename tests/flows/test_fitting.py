"""Nothing that a table shows is cut, however narrow the screen."""

import io

import pytest
from rich.console import Console

from flows.fitting import counted
from flows.screen import table

COLUMNS = ("id", "made (UTC)", "may", "", "state")
ROWS = [
    ("job_0637f1a0c3d4e5f6a7b8", "2026-11-24 03:12", "read:risk_decisions, write:transactions", "x", "processing"),
    ("job_0637f1a0c3d4e5f6a7b9", "2026-11-25 03:12", "a" * 64, "", "done"),
]


def _drawn(width: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(table("2 jobs", COLUMNS, ROWS))
    return out.getvalue()


@pytest.mark.parametrize("width", [70, 80, 100, 120, 160])
def test_every_cell_stands_there_whole(width: int) -> None:
    drawn = _drawn(width)
    assert "\u2026" not in drawn
    assert all(len(line) <= width for line in drawn.splitlines())
    for cell in (cell for row in ROWS for cell in row):
        assert cell in drawn


def test_on_the_narrowest_screens_what_is_longer_than_a_line_goes_on_in_the_next() -> None:
    drawn = _drawn(30)
    assert "\u2026" not in drawn
    assert "a" * 64 in drawn.replace("\n", "")


def test_a_table_that_fits_has_a_row_a_line() -> None:
    assert len(_drawn(160).splitlines()) == 4


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [(0, "chain", "0 chains"), (1, "entry", "1 entry"), (2, "entry", "2 entries"), (1200, "day", "1,200 days")],
)
def test_nouns_follow_their_number(number: int, noun: str, words: str) -> None:
    assert counted(number, noun) == words
