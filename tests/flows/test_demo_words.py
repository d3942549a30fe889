"""What the demo's last screen tells to type works where the demo was run."""

from dataclasses import replace
from pathlib import Path

import pytest

from flows.demo_screen import USUAL_PORT, _elsewhere
from fradect.settings import Settings


def test_home_and_port_are_named_where_they_are_not_the_usual_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("FRADECT_HOME", "FRADECT_PORT"):
        monkeypatch.delenv(name, raising=False)
    usual = Settings.from_env()
    assert usual.port == USUAL_PORT
    assert not _elsewhere(usual)
    other = replace(usual, home=Path("/srv/two words"), port=8123)
    assert _elsewhere(other) == "FRADECT_HOME='/srv/two words' FRADECT_PORT=8123 "
