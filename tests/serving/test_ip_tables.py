"""Where an order comes from, looked up by the service: from which table, what of it is stored, and what a repeat is."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fradect.adapters.database import open_database
from fradect.adapters.places import Places
from fradect.adapters.tables import events
from fradect.adapters.vault import HomeVault
from fradect.errors import InvalidInput
from fradect.features.globe import place_at
from fradect.intake import IpRanges
from fradect.settings import Settings
from serving.ip_tables import IpTables
from serving.purchases import Received, request_of
from serving.wiring import Service
from tests.factories_decision import NOON, body
from tests.serving.conftest import Client, promote, settings_of

BERLIN, PARIS = place_at(52.52, 13.41), place_at(48.86, 2.35)
HEADER = "first,last,country,latitude,longitude\n"
GERMAN = f"{HEADER}192.0.2.0/24,,DE,52.52,13.41\n"
FRENCH = f"{HEADER}192.0.2.0/24,,FR,48.86,2.35\n"


def written(path: Path, text: str, age: int = 0) -> Path:
    """A file of its own time, so that a change of it shows on any clock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (NOON // 10**6 + age, NOON // 10**6 + age))
    return path


def fields_of(tmp_path: Path, table: str | None, **device: Any) -> dict[str, Any]:
    ranges = None if table is None else IpRanges.read(written(tmp_path / "t.csv", table))
    asked = body(device={"id": "d1", **device})
    event = request_of(asked, Received("demo", NOON, "req_1"), HomeVault(tmp_path), "RUB", ranges).event
    return {name: value for name, value in event.fields.items() if not name.endswith("_cipher")}  # each vault's own


def test_country_and_place_come_from_the_table_when_the_caller_says_none(tmp_path: Path) -> None:
    fields = fields_of(tmp_path, GERMAN, ip="192.0.2.1")
    assert (fields["ip_country"], fields["ip_place"]) == ("DE", BERLIN)


def test_the_callers_country_goes_before_the_tables_and_the_place_is_still_looked_up(tmp_path: Path) -> None:
    fields = fields_of(tmp_path, GERMAN, ip="192.0.2.1", ip_country="RU")
    assert (fields["ip_country"], fields["ip_place"]) == ("RU", BERLIN)


@pytest.mark.parametrize("device", [{}, {"ip": "10.0.0.1"}, {"ip": "2001:db8::1"}])
def test_of_an_address_that_no_range_holds_nothing_is_known(device: dict[str, str], tmp_path: Path) -> None:
    fields = fields_of(tmp_path, GERMAN, **device)
    assert (fields["ip_country"], fields["ip_place"]) == (None, None)
    without = fields_of(tmp_path, None, **device)
    assert without == fields


def test_a_repeat_is_the_same_request_whatever_the_table_says_by_then(tmp_path: Path) -> None:
    asked, received, vault = body(device={"ip": "192.0.2.1"}), Received("demo", NOON, "req_1"), HomeVault(tmp_path)
    tables = [IpRanges.read(written(tmp_path / "t.csv", text)) for text in (GERMAN, FRENCH)]
    first, second = (request_of(asked, received, vault, "RUB", table) for table in tables)
    assert first.digest == second.digest
    assert first.event.fields["ip_place"] != second.event.fields["ip_place"]


def _tables(home: Path, everywhere: Path | None = None) -> IpTables:
    return IpTables(lambda module, tenant_id: Places(home, module, tenant_id).ip_ranges, everywhere)


def place(tables: IpTables, tenant: str) -> int | None:
    ranges = tables.of("ecommerce", tenant)
    return None if ranges is None else ranges.of("192.0.2.1").place


def test_each_tenant_has_the_table_of_its_import_and_changes_are_followed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = written(Places(tmp_path, "ecommerce", "one").ip_ranges, GERMAN)
    tables, both = _tables(tmp_path), [("ecommerce", "one"), ("ecommerce", "other")]
    assert place(tables, "one") is None
    tables.refresh(both)
    assert (place(tables, "one"), place(tables, "other")) == (BERLIN, None)
    ranges = tables.of("ecommerce", "one")
    tables.refresh(both)
    assert tables.of("ecommerce", "one") is ranges
    written(kept, FRENCH, age=5)
    tables.refresh(both)
    assert place(tables, "one") == PARIS
    written(kept, "nonsense", age=9)
    tables.refresh(both)
    assert place(tables, "one") == PARIS
    assert "looked up as before" in caplog.text
    kept.unlink()
    tables.refresh(both)
    assert place(tables, "one") == PARIS


def test_the_operators_table_is_for_all_tenants_and_must_be_there(tmp_path: Path) -> None:
    written(Places(tmp_path, "ecommerce", "one").ip_ranges, GERMAN)
    tables = _tables(tmp_path, written(tmp_path / "mine.csv", FRENCH))
    tables.refresh([("ecommerce", "one"), ("ecommerce", "other")])
    assert tables.of("ecommerce", "one") is tables.of("ecommerce", "other")
    assert place(tables, "one") == PARIS
    with pytest.raises(InvalidInput, match=r"absent\.csv cannot be read"):
        _tables(tmp_path, tmp_path / "absent.csv")


def test_the_setting_names_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRADECT_IP_RANGES", raising=False)
    assert Settings.from_env().ip_ranges is None
    monkeypatch.setenv("FRADECT_IP_RANGES", str(tmp_path / "x" / ".." / "t.csv"))
    assert Settings.from_env().ip_ranges == tmp_path / "t.csv"


def test_a_service_does_not_start_without_the_table_it_was_told_of(tmp_path: Path) -> None:
    promote(tmp_path)
    with pytest.raises(InvalidInput, match="cannot be read"):
        Service(settings_of(tmp_path, ip_ranges=tmp_path / "absent.csv"))


def test_the_stored_event_has_what_was_looked_up(served: Callable[[], Client], tmp_path: Path) -> None:
    written(Places(tmp_path, "ecommerce", "demo").ip_ranges, GERMAN)
    asked = body(device={"id": "d1", "ip": "192.0.2.1"})
    assert served().post(asked).status_code == 200
    engine = open_database(f"sqlite:///{tmp_path}/ledger.db")
    with engine.connect() as connection:
        stored = connection.execute(sa.select(events)).one()._mapping
    engine.dispose()
    assert f'"ip_place":{BERLIN}' in str(stored["fields"]).replace("'", '"').replace(" ", "")
