"""While a challenger is tried, each decision is laid beside what the other release says of it, and nobody waits."""

import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fradect.adapters.pairs_sql import SqlPairs
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.adapters.shared_sql import open_shared
from fradect.errors import Unavailable
from fradect.pairs import PairColumns
from fradect.rollout import Rollout, Step, rolled_back, shadowed, widened
from fradect.types import Action
from serving import beside
from serving.beside import Beside
from tests.factories_decision import body, toy_release
from tests.serving.conftest import Client, promote, settings_of

OF = ("ecommerce", "demo")
STEP = Step("tried", "ann", "a test", 1)
CHAMPION, STRICT = toy_release(), toy_release(review=1, decline=2)
Move = Callable[[Callable[[Rollout], Rollout]], None]


@pytest.fixture
def move(served: Callable[[], Client], tmp_path: Path) -> Move:
    store = ReleasesFolder(tmp_path)
    for release in (CHAMPION, STRICT):
        store.save(release)
    store.promote(*OF, CHAMPION.id)

    def move(step: Callable[[Rollout], Rollout]) -> None:
        now = store.rollout(*OF)
        assert now is not None
        store.move(*OF, step(now))

    return move


def kept(home: Path, challenger: str = STRICT.id, champion: str = CHAMPION.id) -> PairColumns:
    engine = open_shared(settings_of(home).ledger_url)
    try:
        return SqlPairs(engine).of("demo", "ecommerce", challenger, champion)
    finally:
        engine.dispose()


def sent(client: Client, many: int = 40, prefix: str = "tx") -> list[dict[str, Any]]:
    return [client.post(body(f"{prefix}{i}", customer_id=f"c{i}", amount=100 + 977 * i)).json() for i in range(many)]


def test_in_the_shadow_the_champion_decides_and_both_are_kept(
    served: Callable[[], Client], tmp_path: Path, move: Move
) -> None:
    move(lambda now: shadowed(now, STRICT.id, STEP))
    client = served()
    answers = sent(client)
    client.service.close()
    pairs = kept(tmp_path)
    assert list(pairs.decision_id) == [answer["decision_id"] for answer in answers]
    assert [Action(int(action)).name for action in pairs.theirs_action] == [answer["decision"] for answer in answers]
    assert list(pairs.theirs_score) == list(pairs.ours_score), "one model, and the same vector"
    assert {Action(int(action)) for action in pairs.ours_action} == {Action.DECLINE}
    assert not pairs.by_challenger.any()
    assert len(set(pairs.subject.tolist())) == len(answers)
    assert (pairs.request_us > pairs.theirs_us).all()
    assert pairs.amount[1] > pairs.amount[0] > 0


def test_on_a_share_each_decides_its_own_customers_and_is_laid_beside_the_other(
    served: Callable[[], Client], tmp_path: Path, move: Move
) -> None:
    move(lambda now: shadowed(now, STRICT.id, STEP))
    move(lambda now: widened(now, 5_000, STEP))
    client = served()
    answers = sent(client)
    move(lambda now: rolled_back(now, STEP))
    client.service._follow()
    sent(client, 5, "after")
    client.service.close()
    pairs = kept(tmp_path)
    deciding = [answer["release"] == STRICT.id for answer in answers]
    assert pairs.by_challenger.tolist() == deciding
    assert 5 < sum(deciding) < 35
    assert set(pairs.share.tolist()) == {5_000}
    assert (pairs.ours_action >= 0).all()
    assert (pairs.theirs_action >= 0).all()


def test_a_challenger_with_a_contract_of_its_own_is_asked_with_its_own_features(
    served: Callable[[], Client], tmp_path: Path, move: Move
) -> None:
    """As it would have decided from the start: asked with the champion's vector it could not even be computed."""
    other = promote(tmp_path, "ecommerce/handbook")
    ReleasesFolder(tmp_path).promote(*OF, CHAMPION.id)
    move(lambda now: shadowed(now, other, STEP))
    client = served()
    if client.service._champions.idle:
        pytest.skip("the live state is kept for the champion's windows alone")
    sent(client, 10)
    client.service.close()
    pairs = kept(tmp_path, other)
    assert len(pairs) == 10
    assert not pairs.ours_failed.any()
    assert not pairs.ours_degraded.any()


def test_one_that_fails_is_found_out_and_costs_no_decision(
    served: Callable[[], Client], tmp_path: Path, move: Move
) -> None:
    move(lambda now: shadowed(now, STRICT.id, STEP))
    client = served()
    challenger = client.service._champions.deciding(*OF).challenger
    assert challenger is not None
    object.__setattr__(challenger.release, "rules", None)
    answers = sent(client, 5)
    client.service.close()
    pairs = kept(tmp_path)
    assert [answer["release"] for answer in answers] == [CHAMPION.id] * 5
    assert pairs.ours_failed.all()
    assert (pairs.ours_action == -1).all()


def test_what_cannot_be_kept_now_is_kept_later(served: Callable[[], Client], tmp_path: Path, move: Move) -> None:
    move(lambda now: shadowed(now, STRICT.id, STEP))
    client = served()
    pairs, tries = client.service._beside._pairs, [0]

    def record(made: Any) -> None:
        tries[0] += bool(made)
        if tries[0] == 1:
            raise Unavailable("away")
        pairs.record(made)

    client.service._beside._pairs = SimpleNamespace(record=record, of=pairs.of)
    sent(client, 5)
    until = time.monotonic() + 20
    while tries[0] < 2 and time.monotonic() < until:
        time.sleep(0.05)
    client.service.close()
    assert len(kept(tmp_path)) == 5


def test_more_than_can_wait_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "MOST_WAITING", 3)
    counted: list[tuple[str, str]] = []
    one = Beside(
        SimpleNamespace(record=lambda _: None), lambda m: sha256(m).digest(), int, lambda *t: counted.append(t)
    )
    one.close()  # so that nobody takes what is put
    asked = SimpleNamespace(request=SimpleNamespace(event=SimpleNamespace(module="ecommerce")))
    for _ in range(5):
        one._put(asked)
    assert counted == [("ecommerce", "left_out")] * 2
