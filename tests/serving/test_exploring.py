"""Exploration in a whole service: some declines are let through, told as such, stored with their chance, made again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.stored import Scope, stored
from fradect.adapters.drawn_declines import drawn_declines, let_through_since
from fradect.adapters.ledger_verify import verify
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.policy import Exploration
from tests.factories_decision import body, toy_release
from tests.serving.conftest import Client


def _explore(client: Client, home: Path) -> None:
    """A champion that declines almost everything, and lets some of it through."""
    release = toy_release("ecommerce/handbook")
    policy = replace(release.policy, review=1, decline=1, exploration=Exploration(0.05, 10_000_000, 10**9))
    exploring, store = replace(release, policy=policy), ReleasesFolder(home)
    store.save(exploring)
    store.promote("ecommerce", "demo", exploring.id)
    client.service._follow()


def _draw(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other event is drawn."""
    turns = iter(range(10**6))
    monkeypatch.setattr(client.service._exploring.explorer, "_mac", lambda _: bytes([255 * (next(turns) % 2)] * 32))


def test_declines_are_let_through_stored_with_their_chance_and_made_again(
    served: Callable[[], Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRADECT_HOME", str(tmp_path))
    client = served()
    _explore(client, tmp_path)
    _draw(client, monkeypatch)
    sent = [body(f"tx{i}", customer_id=f"c{i}", amount=100 + i) for i in range(12)]
    unheard: dict[str, Any] = client.post(body("before")).json()
    assert unheard["decision"] == "DECLINE", "the ledger was not asked yet"
    client.service._exploring.follow()
    answers = [client.post(one).json() for one in sent]
    through = [answer for answer in answers if answer.get("explored")]
    assert 0 < len(through) < len(answers)
    assert {answer["decision"] for answer in through} == {"APPROVE"}
    assert all("explored" not in answer for answer in answers if answer["decision"] == "DECLINE")
    assert [client.post(one).json() for one in sent] == answers, "told again as it was"
    shown = client.request("GET", f"/api/v1/decisions/{through[0]['decision_id']}", headers={"X-API-Key": client.key})
    assert shown.json()["answer"] == through[0]
    amounts = let_through_since(client.service._ledger.engine, 0)
    assert amounts["demo", "ecommerce"] > 0
    client.service.close()
    url = f"sqlite:///{tmp_path}/ledger.db"
    found = drawn_declines(url, ("demo", "ecommerce"))
    assert found is not None
    assert len(found.let_through) == len(through)
    assert verify(url).broken is None
    made = stored(Scope("ecommerce", "demo", 0, 2**62))
    assert made is not None
    assert (made.made_again.matched, made.by_columns, made.alike) == (13, 13, 13)


def test_after_a_restart_the_day_goes_on(served: Callable[[], Client], tmp_path: Path) -> None:
    client = served()
    _explore(client, tmp_path)
    client.service._exploring.explorer._mac = lambda _: bytes(32)
    client.service._exploring.follow()
    assert client.post(body("one")).json()["explored"]
    spent = let_through_since(client.service._ledger.engine, 0)
    client.service.close()
    again = served()
    again.service._exploring.follow()
    assert again.service._exploring.explorer._heard == spent


def test_while_nobody_explores_the_ledger_is_not_asked(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr("serving.wiring_exploring.let_through_since", lambda *_: asked.append(1))
    client.service._exploring.follow()
    assert not asked
    assert "explored" not in client.post(body("one")).json()
