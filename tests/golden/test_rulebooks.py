"""What is said of broken rulebooks, frozen in files beside them: every message names place and remedy.

Write them anew with FRADECT_GOLDEN=write, and read the difference before it is committed.
"""

import os
from pathlib import Path

import pytest

from fradect.errors import InvalidInput
from fradect.modules import module_of
from fradect.rules import check, load

FOLDER = Path(__file__).parent / "rules"
MODULE = module_of("ecommerce")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_everything_that_is_wrong_is_told_as_it_was(path: Path) -> None:
    told = "".join(f"{problem}\n" for problem in check(path.read_bytes(), MODULE))
    expected = path.with_suffix(".txt")
    if os.environ.get("FRADECT_GOLDEN") == "write":
        expected.write_text(told)
    assert told == expected.read_text()
    assert told


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_none_of_them_can_be_in_a_release(path: Path) -> None:
    first = path.with_suffix(".txt").read_text().splitlines()[0]
    with pytest.raises(InvalidInput) as refused:
        load(path.read_bytes(), MODULE)
    assert first in str(refused.value)


def test_the_broken_rulebooks_have_no_stray_messages() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == {path.stem for path in FOLDER.glob("*.json")}
