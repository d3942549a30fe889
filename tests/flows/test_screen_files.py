"""Figures for machines: where asked for, or one line that says why not."""

from pathlib import Path

import pytest

from flows.screen import leave_json
from flows.wiring import leave_bytes
from fradect.errors import InvalidInput


def test_figures_go_to_folders_that_are_not_there_yet(tmp_path: Path) -> None:
    leave_json(tmp_path / "new" / "figures.json", {"events": 3})
    assert (tmp_path / "new" / "figures.json").read_text() == '{\n "events": 3\n}\n'
    leave_json(None, {"events": 3})


@pytest.mark.parametrize("leave", [lambda path: leave_json(path, {}), lambda path: leave_bytes(path, b"page")])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, leave: "object") -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InvalidInput, match=r"report\.json cannot be written"):
        leave(tmp_path / "file" / "report.json")  # type: ignore[operator]
