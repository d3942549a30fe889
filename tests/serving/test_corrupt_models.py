"""Damaged models: never served, never the end of the service, and said so. FRADECT_FAULT_ROUNDS asks for more."""

import os
import random
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import xgboost as xgb

from fradect.adapters.releases_folder import ReleasesFolder
from fradect.canary import chosen
from fradect.errors import Refused, Unavailable
from fradect.release import Release
from fradect.scoring import Calibrator, Scorer
from serving import child, trial
from serving.trial import Trials, in_child
from tests.factories_decision import body, toy_release
from tests.serving.conftest import Client

ROUNDS = int(os.environ.get("FRADECT_FAULT_ROUNDS", "24"))


@lru_cache
def _whole(form: str = "json") -> Release:
    """Another release than the champion, with a canary; its model as JSON or UBJSON."""
    release = toy_release("ecommerce/handbook", 301)
    matrix = np.random.default_rng(5).integers(0, 5, (300, len(release.contract.names))).astype(np.float64)
    scorer = Scorer(release.model, release.calibrator, release.contract)
    booster = xgb.Booster()
    booster.load_model(bytearray(release.model))
    return replace(
        release, canary=chosen(matrix, scorer.probability(matrix)), model=bytes(booster.save_raw(raw_format=form))
    )


def _damaged(model: bytes, seed: int) -> bytes:
    """Cut short, one bit turned, or twenty bytes turned into others."""
    rng = random.Random(seed)
    raw = bytearray(model)
    match seed % 3:
        case 0:
            return bytes(raw[: rng.randrange(len(raw))])
        case 1:
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        case _:
            for _ in range(20):
                raw[rng.randrange(len(raw))] = rng.randrange(256)
    return bytes(raw)


def _promote(home: Path, release: Release) -> None:
    store = ReleasesFolder(home)
    store.save(release)
    store.promote("ecommerce", "demo", release.id)


def test_bytes_that_changed_on_the_disk_are_never_served(client: Client, tmp_path: Path) -> None:
    champion = client.post(body("tx")).json()["release"]
    whole = _whole()
    _promote(tmp_path, whole)
    model = tmp_path / "releases" / whole.id / "model.json"
    for seed in range(ROUNDS):
        model.write_bytes(_damaged(whole.model, seed))
        client.service._follow()
        assert client.post(body(f"tx{seed}")).json()["release"] == champion
        assert "do not match its name" in client.get("/ready").json()["reasons"][0]
    assert "fradect_releases_refused 1.0" in client.get("/metrics").text
    model.write_bytes(whole.model)
    client.service._follow()
    assert client.post(body("last")).json()["release"] == whole.id
    assert "fradect_releases_refused 0.0" in client.get("/metrics").text


@pytest.mark.timeout(300 + 20 * ROUNDS)
@pytest.mark.parametrize("form", ["json", "ubj"])
def test_a_damaged_model_under_a_name_of_its_own_breaks_its_trial_and_nothing_else(
    client: Client, tmp_path: Path, form: str
) -> None:
    """The digest fits, so only the trial stands between it and the service."""
    champion = client.post(body("tx")).json()["release"]
    whole = _whole(form)
    assert whole.canary is not None
    refused = 0
    for seed in range(ROUNDS // 2):
        broken = replace(whole, model=_damaged(whole.model, seed))
        _promote(tmp_path, broken)
        client.service._follow()
        served = client.post(body(f"tx{seed}")).json()["release"]
        if served == broken.id:  # what was damaged is nothing that it answers by
            assert np.allclose(in_child(broken), whole.canary.probabilities, rtol=0, atol=1e-6)
            champion = served
        else:
            assert served == champion
            assert broken.id in client.get("/ready").json()["reasons"][0]
            refused += 1
    assert refused >= ROUNDS // 4


def test_a_model_of_other_features_or_without_an_answer_is_refused() -> None:
    whole = _whole()
    other = toy_release("ecommerce/standard")
    with pytest.raises(Refused):
        in_child(replace(whole, model=other.model))
    with pytest.raises(Refused, match="probability for every row"):
        in_child(replace(whole, calibrator=_Nan(0.0, 0.0)))
    with pytest.raises(Refused, match="otherwise than when it was made"):
        in_child(replace(whole, calibrator=Calibrator(1.0, 0.01)))


class _Nan(Calibrator):
    """1e999 is infinity as JSON has it, and 0 times infinity is no number."""

    def to_json(self) -> bytes:
        return b'{"method":"platt","slope":"nan","intercept":"0"}'


@pytest.mark.parametrize(
    ("child", "reason"),
    [
        ("import os; os.kill(os.getpid(), 9)", "no verdict"),
        ("import os; os.abort()", "no verdict"),
        ("print('all is well')", "no verdict"),
        ("import time; time.sleep(60)", "did not end"),
        ("raise SystemExit(3)", "no verdict"),
    ],
)
def test_a_trial_that_crashes_hangs_or_babbles_is_no_pass(child: str, reason: str) -> None:
    with patch.object(trial, "_BOOT", child), pytest.raises(Unavailable, match=reason):
        in_child(toy_release(), seconds=1.0)


def test_a_child_that_lies_is_found_out(client: Client, tmp_path: Path) -> None:
    champion = client.post(body("tx")).json()["release"]
    client.service._champions._checks.trials.__init__(lambda _: (0.5, 0.5, 0.5))  # type: ignore[misc]
    _promote(tmp_path, toy_release("ecommerce/handbook", 302))
    client.service._follow()
    assert client.post(body("tx1")).json()["release"] == champion
    assert "otherwise here than in its trial" in client.get("/ready").json()["reasons"][0]


def test_a_verdict_stands_and_a_broken_trial_is_repeated_later(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def broken(release: Release) -> tuple[float, ...]:
        tried.append(release.id)
        raise Unavailable("its trial did not end")

    trials = Trials(broken)
    for _ in range(3):
        with pytest.raises(Refused):
            trials.of(toy_release())
    assert len(tried) == 1
    monkeypatch.setattr(trial, "AGAIN_SECONDS", -1.0)
    trials = Trials(broken)
    for _ in range(3):
        with pytest.raises(Refused):
            trials.of(toy_release())
    assert len(tried) == 4


def test_the_child_loads_neither_scikit_learn_nor_pandas_and_sees_no_secret() -> None:
    assert {"sklearn", "pandas"} <= set(trial._BOOT.replace("=", " ").replace("(", " ").replace(",", " ").split())
    assert not [name for name in child._KEPT if "FRADECT" in name or "SECRET" in name]
