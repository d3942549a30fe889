"""Labels of a training set: what was told of a decision last goes before what the log heard first."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fradect.adapters.history_store import build_features
from fradect.adapters.places import Places
from fradect.adapters.snapshot_store import build_snapshots
from fradect.adapters.told_labels import SCHEMA
from fradect.adapters.training_store import training_set
from fradect.modules import contract_of, module_of
from tests.features.factories_log import random_columns, random_outcomes, write_log

MODULE, STANDARD = module_of("ecommerce"), contract_of("ecommerce/standard")
TOLD_AT = 1_800_000_000_000_000


def _labels(places: Places) -> dict[str, tuple[bool | None, int | None]]:
    table = pq.read_table(training_set(places, MODULE, STANDARD).path)
    known_at = table["label_known_at"].cast(pa.int64()).to_pylist()
    return dict(zip(table["event_id"].to_pylist(), zip(table["label"].to_pylist(), known_at, strict=True), strict=True))


def test_what_was_told_last_is_the_label_and_everything_else_stays(tmp_path: Path) -> None:
    columns = random_columns(7, 200)
    places = write_log(tmp_path, columns, random_outcomes(7, columns))
    build_features(places, MODULE, STANDARD)
    build_snapshots(places, MODULE, STANDARD)
    before = _labels(places)
    known = [event_id for event_id, (label, _) in before.items() if label is not None]
    silent = next(event_id for event_id, (label, _) in before.items() if label is None)
    corrected, taken_back = known[:2]
    told = {corrected: not before[corrected][0], taken_back: None, silent: True, "nobody": True}
    places.told_labels.parent.mkdir(parents=True, exist_ok=True)
    times = pa.array([TOLD_AT] * len(told), pa.int64()).cast(SCHEMA.field("label_known_at").type)
    pq.write_table(pa.table([list(told), list(told.values()), times], schema=SCHEMA), places.told_labels)
    assert not training_set(places, MODULE, STANDARD).reused, "other labels, another training set"
    after = _labels(places)
    assert after.keys() == before.keys()
    assert after[corrected] == (not before[corrected][0], TOLD_AT)
    assert after[taken_back] == (None, None)
    assert after[silent] == (True, TOLD_AT)
    changed = {event_id for event_id in after if after[event_id] != before[event_id]}
    assert changed == {corrected, taken_back, silent}
    assert training_set(places, MODULE, STANDARD).reused
