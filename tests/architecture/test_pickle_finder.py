"""What finds pickles finds them: whole, inside, zipped, in base64, in a database; and takes nothing else for one."""

import base64
import gzip
import io
import json
import pickle  # noqa: TID251  to be found
import random
import sqlite3
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb

from tests.factories_pickles import pickles_in, pickles_under

HELD = OrderedDict(a=[1.0, "two"])


def _zipped(raw: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as held:
        held.writestr("inner/data", raw)
    return file.getvalue()


def _saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_found_in_any_protocol(protocol: int) -> None:
    assert list(pickles_in(pickle.dumps(HELD, protocol=protocol)))


FORMS = {
    "inside": b"header " * 9 + pickle.dumps(HELD) + b" trailer" * 9,
    "plain, by its mark": pickle.dumps({"a": [1, 2]}),
    "zipped": _zipped(pickle.dumps(HELD)),
    "zipped twice": _zipped(_zipped(pickle.dumps(HELD))),
    "gzipped": gzip.compress(pickle.dumps(HELD)),
    "in base64, in JSON": json.dumps({"data": base64.b64encode(pickle.dumps(HELD)).decode()}).encode(),
    "a class by its name": pickle.dumps(Path),
    "an array of objects": _saved(np.array([{"a": 1}, None], dtype=object)),
    "a booster": pickle.dumps(xgb.train({}, xgb.DMatrix(np.eye(4), np.arange(4.0)), 1)),
}


@pytest.mark.parametrize("raw", FORMS.values(), ids=FORMS)
def test_a_pickle_is_found_wherever_it_is(raw: bytes) -> None:
    assert list(pickles_in(raw))


def test_a_pickle_is_found_in_a_database_even_across_its_pages(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "some.db") as database:
        database.execute("CREATE TABLE held (value BLOB)")
        large = pickle.dumps(OrderedDict(enumerate(random.Random(1).random() for _ in range(5_000))))
        database.execute("INSERT INTO held VALUES (?)", (large,))
    database.close()
    assert any("some.db:held" in found for found in pickles_under(tmp_path))


def test_what_is_none_is_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("Nothing. (I1\n. cos\nsystem\n. gASV in base64 is how they begin.")
    (tmp_path / "numbers.npy").write_bytes(_saved(np.arange(1000.0)))
    (tmp_path / "noise").write_bytes(random.Random(1).randbytes(2_000_000))
    (tmp_path / "words.json").write_text(json.dumps({"words": ["gAAAAABmZ" * 20, "x" * 1000]}))
    assert pickles_under(tmp_path) == []
