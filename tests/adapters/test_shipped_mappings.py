"""The mappings that ship, on the data they are for."""

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fradect.adapters.event_log import EventLog
from fradect.adapters.importing import ImportOptions, ImportReport, import_path
from fradect.adapters.vault import HomeVault
from fradect.mapping import load_mapping
from fradect.simulate import Scenario, write

MAPPINGS = Path(__file__).resolve().parents[2] / "mappings"


def brought_in(name: str, source: Path, home: Path, **tables: Path) -> tuple[ImportReport, pa.Table, pa.Table]:
    """The report, the events and the outcomes of an import by a mapping that ships."""
    mapping = load_mapping(MAPPINGS / f"{name}.yaml", tables)
    report = import_path(source, mapping, home, ImportOptions(max_rejected=0.001))
    log = EventLog(home, "ecommerce", mapping.tenant)
    return report, pq.read_table(log.folder / "events"), pq.read_table(log.folder / "outcomes")


def test_the_handbook(shared_data: Path, tmp_path: Path) -> None:
    """A slice in which some amounts carry the dust of float arithmetic; none is lost, none is a cent off."""
    with pq.ParquetFile(shared_data / "handbook" / "transactions.parquet") as file:
        raw = next(file.iter_batches(30_000))
    pq.write_table(pa.Table.from_batches([raw]), tmp_path / "slice.parquet")
    report, events, outcomes = brought_in("handbook", tmp_path / "slice.parquet", tmp_path / "home")
    assert (report.accepted, report.rejected, report.tenant) == (30_000, 0, "handbook")
    amounts = raw["TX_AMOUNT"].to_numpy()
    assert (np.rint(amounts * 100) / 100 != amounts).any()
    assert (events["amount"].to_numpy() == np.rint(amounts * 100)).all()
    assert events["amount_base"].equals(events["amount"])
    assert events["event_id"].to_pylist() == [str(i) for i in raw["TRANSACTION_ID"].to_pylist()]  # order is kept
    assert events["customer_id"].to_pylist() == [str(i) for i in raw["CUSTOMER_ID"].to_pylist()]
    assert (
        events["event_time"].cast(pa.int64()).to_pylist()
        == raw["TX_DATETIME"].cast("timestamp[us]").cast(pa.int64()).to_pylist()
    )
    assert outcomes["value"].to_numpy(zero_copy_only=False).astype(int).tolist() == raw["TX_FRAUD"].to_pylist()


def test_the_e_commerce_extract(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "ecommerce" / "fraud_data.csv"
    table = shared_data / "geo" / "ip_country.csv"
    report, events, outcomes = brought_in("ecommerce_extract", source, tmp_path / "home", ip_country=table)
    assert (report.rows, report.accepted) == (30_190, 30_189)
    assert report.by_reason == {"required value missing": 1}  # its last line is cut off
    assert outcomes["value"].to_pylist().count(True) == pytest.approx(0.095 * 30_189, rel=0.01)
    first = events.slice(0, 1).to_pylist()[0]
    assert (first["event_id"], first["amount"], first["currency"], first["ip"]) == (
        "356414",
        1400,
        "USD",
        "119.75.87.224",
    )
    assert first["ip_country"] == "KR"
    assert events["ip_country"].null_count < 0.2 * events.num_rows
    assert events["sex"].null_count == events["age"].null_count == events["signup_at"].null_count == 0
    assert set(np.diff(events["seq"].to_numpy())) == {1}


def test_the_simulator(tmp_path: Path) -> None:
    scenario = Scenario(seed=3, start=date(2025, 1, 1), days=7, events=2_000, customers=200)
    write(scenario, tmp_path / "raw")
    report, events, outcomes = brought_in("simulator", tmp_path / "raw", tmp_path / "home")
    raw = pq.read_table(tmp_path / "raw").to_pylist()
    assert (report.accepted, report.rejected, report.files) == (len(raw), 0, 7)
    by_id = {line["transaction_id"]: line for line in raw}
    vault = HomeVault(tmp_path / "home")
    for event in events.to_pylist()[::97]:
        line = by_id[event["event_id"]]
        assert event["amount"] == event["amount_base"] == int(line["amount"] * 100)
        assert event["event_time"] == line["purchased_at"]
        assert event["signup_at"] == line["signup_at"]
        assert event["ip_country"] == line["ip_country"]
        for name in ("email", "phone", "full_name", "shipping_address"):
            assert vault.open("demo", name, event["event_id"], event[f"{name}_cipher"]) == line[name]
            assert vault.token("demo", name, line[name]) == event[f"{name}_token"]
    told = {(o["event_id"], o["kind"]): o for o in outcomes.to_pylist()}
    for event_id, line in by_id.items():
        fraud, back = told[event_id, "fraud"], told[event_id, "return"]
        assert (fraud["value"], fraud["known_at"]) == (line["is_fraud"], line["label_known_at"])
        assert back["value"] == line["returned"]
        assert line["return_known_at"] in (None, back["known_at"])
