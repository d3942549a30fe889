"""`fradect state`: shows what is held, and makes it anew beside whoever uses it."""

import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from flows.commands.state import app
from flows.wiring import workshop
from fradect.adapters.ledger_sql import SqlLedger
from fradect.adapters.states import open_state
from fradect.errors import InvalidInput, NotFound, Unavailable
from fradect.features.layout import layout_of
from tests.factories_decision import purchase, record

SCOPE = ("demo", "ecommerce")


def _run(*words: str) -> Result:
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.parametrize("where", ["sqlite", "redis"])
def test_rebuilt_and_shown(filled_home: Path, where: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("redis_db") if where == "redis" else f"sqlite:///{filled_home}/other.db"
    if where == "redis":
        assert _run("show", "--state", url).exit_code == 1, "nothing is there"
    figures = filled_home / "figures.json"
    assert "events of the log" in _run("rebuild", "--state", url, "--json", str(figures)).stdout
    assert _figures(figures)["events"] > 5_000
    shown = _run("show", "--state", url, "--json", str(figures))
    assert shown.exit_code == 0
    assert "customer" in shown.stdout
    held = _figures(figures)
    assert held["last_seq"] == held["confirmed_seq"] == held["log_seq"]
    assert held["entities"]["merchant"]["keys"] > 50


def test_a_rebuild_beside_a_service_loses_nothing_of_what_is_stored(filled_home: Path) -> None:
    """Arrivals go on while another process, here another connection, rebuilds: they see the old state or the new."""
    _run("rebuild")
    shop = workshop("ecommerce", "demo")
    state = open_state(f"sqlite:///{filled_home}/state.db")
    assert state.adopt("demo", layout_of(shop.module, shop.contract))
    before = list(state.dump(*SCOPE))
    stop, arrived, failed = threading.Event(), list[int](), list[Exception]()

    def buy() -> None:
        while not stop.is_set():
            try:
                arrived.append(state.arrive(purchase(f"new{len(arrived)}")).seq)
            except Unavailable as error:
                failed.append(error)

    buyer = threading.Thread(target=buy)
    buyer.start()
    _run("rebuild")
    stop.set()
    buyer.join()
    assert not failed
    assert arrived == sorted(set(arrived)), "no number twice"
    for i in range(len(arrived)):
        state.withdraw(purchase(f"new{i}"))
    state.settle_all(*SCOPE)
    assert [one for one in state.dump(*SCOPE) if one[1] in {key for _, key, _ in before}] == before
    state.close()


def test_what_only_looks_makes_nothing(filled_home: Path) -> None:
    before = set(filled_home.glob("*.db*"))
    for option in ([], ["--state", f"sqlite:///{filled_home}/other.db"]):
        with pytest.raises(NotFound, match=r"no live state at .*(state|other)\.db: .*state rebuild"):
            _run("show", *option)
    assert set(filled_home.glob("*.db*")) == before


def test_a_wrong_url_is_blamed_on_whoever_gave_it(filled_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in ("show", "rebuild"):
        with pytest.raises(InvalidInput, match=r"^--state: give sqlite:///<path> or redis"):
            _run(command, "--state", "foo")
    monkeypatch.setenv("FRADECT_STATE_URL", "foo")
    with pytest.raises(InvalidInput, match=r"^FRADECT_STATE_URL: give"):
        _run("show")


def test_another_database_is_not_taken_for_a_state(filled_home: Path) -> None:
    """A state throws away what an older version left, which must not be somebody's decisions."""
    SqlLedger(f"sqlite:///{filled_home}/ledger.db").close()
    for command in ("show", "rebuild"):
        with pytest.raises(InvalidInput, match=r"ledger\.db holds other tables"):
            _run(command, "--state", f"sqlite:///{filled_home}/ledger.db")


def test_what_was_confirmed_stays_so(filled_home: Path) -> None:
    """Decisions that are not in the log yet were compared with SQL before; a rebuild knows no less."""
    _run("rebuild")
    shop = workshop("ecommerce", "demo")
    state = open_state(f"sqlite:///{filled_home}/state.db")
    state.adopt("demo", layout_of(shop.module, shop.contract))
    ledger = SqlLedger(shop.settings.ledger_url)
    for name in ("a", "b"):
        seq = state.arrive(purchase(name, at=shop.facts.last_time)).seq
        ledger.commit(record(name, seq=seq))
    ledger.close()
    state.confirm(*SCOPE, seq)
    _run("rebuild", "--json", str(filled_home / "figures.json"))
    assert _figures(filled_home / "figures.json")["applied"] == 2
    assert state.mark(*SCOPE).confirmed_seq == seq == state.mark(*SCOPE).last_seq
    state.close()


def _figures(path: Path) -> dict[str, Any]:
    figures: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    return figures
