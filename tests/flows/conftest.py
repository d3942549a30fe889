"""A home with a small simulated history, made once."""

import os
import shutil
from datetime import date
from pathlib import Path

import pytest

from flows.ingest import ingest
from fradect.simulate import Scenario, write

SMALL = Scenario(seed=3, start=date(2025, 1, 1), days=70, events=14_000, customers=700, merchants=60, fraud_rate=0.03)


@pytest.fixture(scope="session")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw files and a log; copy it before changing it."""
    home = tmp_path_factory.mktemp("made") / "home"
    write(SMALL, home / "raw" / "simulated")
    before = os.environ.get("FRADECT_HOME")
    os.environ["FRADECT_HOME"] = str(home)
    try:
        ingest(str(home / "raw" / "simulated"), "simulator")
    finally:
        if before is None:
            del os.environ["FRADECT_HOME"]
        else:
            os.environ["FRADECT_HOME"] = before
    return home


@pytest.fixture
def filled_home(made_home: Path, home: Path) -> Path:
    """FRADECT_HOME is a copy of the small history's."""
    shutil.copytree(made_home, home)
    return home
