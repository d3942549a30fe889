"""Tables that several processes share: brought up to date once, gauges that do not grow."""

import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa

from fradect.adapters.shared_sql import SqlMeasurements, open_shared
from fradect.adapters.tables import SHARED
from fradect.ports import Measurement

ROOT = Path(__file__).resolve().parents[2]

TOGETHER = """
import os, sys
from fradect.adapters.shared_sql import open_shared

children = []
for _ in range(4):
    child = os.fork()
    if not child:
        open_shared(sys.argv[1]).dispose()
        os._exit(0)
    children.append(child)
print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


def test_processes_that_start_together_all_find_their_tables(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ran = subprocess.run([sys.executable, "-c", TOGETHER, url], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.stdout.split() == ["0"] * 4, ran.stderr


def test_the_migrations_make_the_tables_that_are_declared(tmp_path: Path) -> None:
    engine = open_shared(f"sqlite:///{tmp_path}/ledger.db")
    there = sa.inspect(engine)
    for table in SHARED.tables.values():
        assert [column["name"] for column in there.get_columns(table.name)] == [column.name for column in table.columns]
        assert {index["name"] for index in there.get_indexes(table.name)} >= {index.name for index in table.indexes}
    engine.dispose()


def test_a_gauge_is_one_row_however_often_it_is_told(tmp_path: Path) -> None:
    engine = open_shared(f"sqlite:///{tmp_path}/ledger.db")
    store = SqlMeasurements(engine)
    store.record(Measurement("rate", {"module": "ecommerce"}, 0.5, 1))
    for i in range(3):
        store.replace([Measurement("lag", {"topic": topic}, float(i), i) for topic in ("a", "b")])
    store.replace([])
    found = {(m.name, *m.labels.values()): m.value for m in store.latest()}
    assert found == {("rate", "ecommerce"): 0.5, ("lag", "a"): 2.0, ("lag", "b"): 2.0}
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM measurements").scalar() == 3
    engine.dispose()
