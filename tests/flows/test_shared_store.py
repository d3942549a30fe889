"""The batch over a store that two machines share: what one made, the other goes on with."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.commands.release import app
from flows.evidence import Candidate, Measured, Verdicts, leave, recall
from flows.ingest import ingest
from flows.materialise import materialise
from flows.train import train
from flows.wiring import workshop
from flows.wiring.storage import working
from fradect.errors import InvalidInput, NotFound, Refused, Unavailable
from fradect.settings import Settings
from fradect.types import Verdict
from tests.factories_s3 import S3Server


@pytest.fixture
def machine(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes this process one of several machines with a home each and one store."""
    monkeypatch.setenv("FRADECT_STORE_URL", f"s3://{s3.bucket()}/fradect")

    def become(name: str) -> Path:
        monkeypatch.setenv("FRADECT_HOME", str(tmp_path / name))
        return tmp_path / name

    return become


def shop_store() -> tuple[str, str]:
    bucket, _, path = os.environ["FRADECT_STORE_URL"].removeprefix("s3://").partition("/")
    return bucket, path


def test_a_machine_with_an_empty_home_goes_on_where_another_stopped(
    s3: S3Server, machine: Callable[[str], Path], made_home: Path
) -> None:
    first = machine("first")
    bucket = s3.bucket()
    for file in sorted((made_home / "raw" / "simulated").iterdir()):
        with file.open("rb") as content:
            s3.store(bucket, "raw").upload(file.name, content)
    report = ingest(f"s3://{bucket}/raw", "simulator")
    assert (report.files, report.skipped) == (70, 0)
    materialise("ecommerce", "demo")
    release_id = train("ecommerce", "demo", 1, 3)
    leave(workshop("ecommerce", "demo").evidence(release_id), Verdicts(release_id, [Verdict("fairness", "pass", "x")]))
    with working("ecommerce", "demo"):
        workshop("ecommerce", "demo").releases.promote("ecommerce", "demo", release_id)
    made = {kind: (first / kind).rglob("*.parquet") for kind in ("log", "features", "offline")}

    second = machine("second")
    listed = CliRunner().invoke(app, ["list"], catch_exceptions=False)
    assert release_id in listed.stdout
    with working("ecommerce", "demo", release_id):
        shop = workshop("ecommerce", "demo")
    assert shop.releases.champion("ecommerce", "demo") == release_id
    assert recall(shop.evidence(release_id), Candidate).release_id == release_id
    for files in made.values():
        for file in files:
            copy = second / file.relative_to(first)
            assert copy.read_bytes() == file.read_bytes()
            assert copy.stat().st_mtime_ns == file.stat().st_mtime_ns
    with pytest.raises(Refused, match=r"keys/vault\.json"):  # keys are never shared by themselves
        materialise("ecommerce", "demo")
    shutil.copy(first / "keys" / "vault.json", second / "keys" / "vault.json")
    before = shop.places.training_set(shop.contract).stat().st_mtime_ns
    materialise("ecommerce", "demo")
    assert shop.places.training_set(shop.contract).stat().st_mtime_ns == before  # nothing is computed again
    assert train("ecommerce", "demo", 1, 3) == release_id
    assert ingest(f"s3://{bucket}/raw", "simulator").skipped == 70
    assert not [facts.key for facts in s3.store(*shop_store()).list("") if "vault" in facts.key or "keys" in facts.key]


def test_a_store_that_is_away_stops_work_before_it_begins(
    s3: S3Server, machine: Callable[[str], Path], made_home: Path
) -> None:
    home = machine("first")
    shutil.copytree(made_home, home)
    s3.fuse = 0
    with pytest.raises(Unavailable, match="cannot be reached"):
        materialise("ecommerce", "demo")
    assert not (home / "features").exists()
    with pytest.raises(Unavailable):
        ingest(str(home / "raw" / "simulated"), "simulator")


def test_evidence_of_a_release_is_fetched_with_it(machine: Callable[[str], Path]) -> None:
    home = machine("first")
    folder = home / "evidence" / "rel_0123456789abcdef"
    leave(folder, Measured(folder.name, {}, {}, 10, 1, "RUB"))
    (folder / "reference.parquet").write_bytes(b"large")
    with working("ecommerce", "demo"):
        pass
    home = machine("second")
    with pytest.raises(NotFound), working("ecommerce", "demo", folder.name):
        pass
    again = home / "evidence" / folder.name
    assert recall(again, Measured) == recall(folder, Measured)
    assert (again / "reference.parquet").read_bytes() == b"large"


@pytest.mark.parametrize("source", ["gs://bucket/x", "https://user:secret@host/x"])
def test_a_source_of_another_scheme_is_refused(home: Path, source: str) -> None:
    with pytest.raises(InvalidInput, match="s3://bucket/path") as caught:
        ingest(source, "simulator")
    assert "secret" not in str(caught.value)


def test_a_file_url_is_a_path(filled_home: Path) -> None:
    assert ingest((filled_home / "raw" / "simulated").as_uri(), "simulator").skipped == 70


@pytest.mark.parametrize(("given", "held"), [("", None), ("s3://b/x", "s3://b/x"), ("/srv/shared", "/srv/shared")])
def test_no_store_is_no_store(monkeypatch: pytest.MonkeyPatch, given: str, held: str | None) -> None:
    monkeypatch.setenv("FRADECT_STORE_URL", given)
    assert Settings.from_env().store_url == held
