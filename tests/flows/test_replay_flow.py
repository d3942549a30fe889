"""fradect replay from end to end: simulated purchases and the Handbook's, on SQLite and on Redis, and faults found."""

import json
import re
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import redis
import typer

from flows.commands.replay import replay as command
from flows.ingest import ingest
from flows.replay import Asked, Replayed, replay
from flows.wiring import replaying, workshop
from flows.wiring.replaying import chosen
from fradect.adapters import state_rebuild
from fradect.errors import InvalidInput, NotFound, Unavailable

FIGURES = {"mismatches": 0, "missing": 0, "extra": 0}


@pytest.fixture(params=["sqlite", "redis"])
def state(request: pytest.FixtureRequest) -> str | None:
    """None stands for a scratch file."""
    return None if request.param == "sqlite" else str(request.getfixturevalue("redis_db"))


def test_simulated_purchases_with_every_entity(filled_home: Path, state: str | None, tmp_path: Path) -> None:
    """Rebuilt as of the day before the first event that has a whole horizon behind it, then played to the end."""
    found = replay("ecommerce", "demo", Asked(state=state))
    assert found.report.figures == {"events": found.report.events, "features": len(found.contract.names)} | FIGURES
    assert found.report.events > 5_000
    assert "all of the log but the" in found.played.choice
    if state is not None:
        assert redis.Redis.from_url(state).dbsize() == 0
        assert state.startswith(found.played.state[: len("redis://127.0.0.1")])


@pytest.fixture(scope="module")
def handbook_home(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 days of the Handbook, the last two of which are to be replayed."""
    home = tmp_path_factory.mktemp("handbook")
    source = home / "transactions.parquet"
    days = (pc.field("TX_DATETIME") >= datetime(2018, 7, 25), pc.field("TX_DATETIME") < datetime(2018, 9, 3))  # noqa: DTZ001
    pq.write_table(pq.read_table(shared_data / "handbook" / "transactions.parquet", filters=days[0] & days[1]), source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRADECT_HOME", str(home))
        ingest(str(source), "handbook")
    return home


def test_two_days_of_the_handbook(handbook_home: Path, state: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRADECT_HOME", str(handbook_home))
    found = replay("ecommerce", "handbook", Asked("2018-09-01", "2018-09-03", state))
    assert found.report.figures == {"events": 19_198, "features": 31} | FIGURES


def _failing(asked: Asked, folder: Path) -> dict[str, Any]:
    """What a command that ends with exit code 1 leaves for machines."""
    figures, page = folder / "replay.json", folder / "replay.html"
    with pytest.raises(typer.Exit) as ended:
        command(since=asked.since, until=asked.until, state=asked.state, json=figures, report=page)
    assert ended.value.exit_code == 1
    return {**json.loads(figures.read_bytes()), "page": page.read_text()}


LAST_DAYS = Asked("2025-03-05")


def test_the_command_says_so_and_leaves_figures_and_a_page(
    filled_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command(since="2025-03-05", json=tmp_path / "r.json", report=tmp_path / "r.html")
    shown = capsys.readouterr().out
    assert "live equals history to the last bit" in shown
    figures = json.loads((tmp_path / "r.json").read_bytes())
    assert list(figures) == ["events", "features", "mismatches", "missing", "extra"]
    page = (tmp_path / "r.html").read_text()
    assert not re.search(r"(src|href|url\()\s*=?\s*[\"']?(https?:)?//", page)
    assert "customer_count_30d" in page


def test_a_state_rebuilt_from_a_stale_log_is_found(
    filled_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rebuild = state_rebuild.rebuild
    monkeypatch.setattr(
        replaying,
        "rebuild",
        lambda *of, until_seq: rebuild(*of, until_seq=until_seq - 500),
    )
    found = _failing(LAST_DAYS, tmp_path)
    assert found["mismatches"] > 100
    assert (found["missing"], found["extra"]) == (0, 0)
    assert "not there" in found["page"]
    assert "entries differ" in capsys.readouterr().out


def test_an_outcome_that_the_log_has_twice_is_found(filled_home: Path, tmp_path: Path) -> None:
    """History counts it twice, the live state once: from a week after the first that was played."""

    def twice(table: pa.Table) -> pa.Table:
        frauds = table.filter(pc.and_(pc.equal(table["kind"], "fraud"), table["value"]))
        return pa.concat_tables([table, frauds])

    _rewrite(filled_home, "outcomes", twice)
    found = _failing(Asked("2025-02-20"), tmp_path)
    assert found["mismatches"] > 0
    assert "merchant_fraud_share_30d" in found["page"]


def _rewrite(home: Path, kind: str, change: Callable[[pa.Table], pa.Table]) -> None:
    for path in (home / "log" / "ecommerce" / "demo" / kind).glob("*.parquet"):
        pq.write_table(change(pq.read_table(path)), path)


def test_what_is_not_there_is_refused(filled_home: Path) -> None:
    with pytest.raises(NotFound, match="choose others"):
        replay("ecommerce", "demo", Asked("2031-01-01"))
    with pytest.raises(InvalidInput, match="scratch file"):
        replay("ecommerce", "demo", Asked(state="sqlite:////tmp/state.db"))
    with pytest.raises(InvalidInput, match="--from 'soon'"):
        replay("ecommerce", "demo", Asked("soon"))


def test_an_old_straggler_decides_nothing(filled_home: Path) -> None:
    """One purchase of last year, imported with the rest: the stretch that is played begins where it did without it."""
    shop = workshop("ecommerce", "demo")
    before = chosen(shop, shop.contract, None, None)

    def older(table: pa.Table) -> pa.Table:
        times = table["event_time"].to_pylist()
        at = table.column_names.index("event_time")
        return table.set_column(
            at, "event_time", pa.array([times[0] - timedelta(days=365), *times[1:]], times_of(table))
        )

    def times_of(table: pa.Table) -> pa.DataType:
        return table.schema.field("event_time").type

    _rewrite(filled_home, "events", older)
    after = chosen(shop, shop.contract, None, None)
    assert (after.first, after.last, after.events) == (before.first, before.last, before.events)
    assert before.first > 1_000, "and it has something behind it"


@pytest.mark.parametrize("wrong", [{"since": "2031-01-01"}, {"state": "redis://127.0.0.1:1"}, {"state": "foo"}])
def test_what_cannot_be_is_told_before_there_is_work(
    filled_home: Path, wrong: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.replay.derive", lambda *_: pytest.fail("features were built"))
    with pytest.raises((InvalidInput, NotFound, Unavailable)):
        replay("ecommerce", "demo", Asked(**wrong))


def test_another_contract_may_be_asked_for(filled_home: Path) -> None:
    found: Replayed = replay("ecommerce", "demo", Asked("2025-03-09", contract="ecommerce/handbook"))
    assert found.report.equal, found.report.by_feature
    assert found.report.features == 31
    shutil.rmtree(filled_home)
