"""Which declines may be let through, by what chance, and how much of it in a day."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.answer import encode
from fradect.decide import Champion, Decider, Ports, Request, Source
from fradect.errors import InvalidInput
from fradect.exploration import FACTOR, Case, Explorer, chance, is_drawn, let_through
from fradect.judgement import Loaded, judge
from fradect.policy import Exploration, Policy
from fradect.reproduce import Kept, columns, replay
from fradect.rules import Findings, Hit
from fradect.turns import OwnThread
from fradect.types import DAY, Action, Event, Value, Vector
from tests.factories_decision import (
    MODULE,
    NOON,
    MemoryBatch,
    MemoryLedger,
    MemoryState,
    purchase,
    toy_loaded,
    vector_of,
)

TERMS = Exploration(share=0.05, most_amount=200_000, most_a_day=300_000)


def _mac(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def always(_data: bytes) -> bytes:
    return bytes(32)


def never(_data: bytes) -> bytes:
    return b"\xff" * 32


def exploring(terms: Exploration | None = TERMS) -> Loaded:
    """Declines everything of score 1 and more."""
    loaded = toy_loaded()
    return replace(loaded, policy=replace(loaded.policy, review=1, decline=1, exploration=terms))


def case(release: Loaded, event: Event, signals: Mapping[str, Value] | None = None, gone: tuple[str, ...] = ()) -> Case:
    vector = vector_of(release.contract, 0.0)
    return Case(event, vector, signals or {}, judge(release, event, vector, gone, explain=False, signals=signals or {}))


def test_a_decline_by_score_has_the_chance_that_the_policy_says() -> None:
    release = exploring()
    assert chance(release, case(release, purchase())) == TERMS.share
    assert chance(exploring(None), case(release, purchase())) is None


def test_what_is_not_a_whole_decline_by_score_alone_is_never_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    release = exploring()
    mild = replace(release, policy=replace(release.policy, review=999, decline=1000))
    plain = case(release, purchase())
    assert chance(mild, case(mild, purchase())) is None, "no decline"
    assert chance(release, case(release, purchase(amount_base=200_001))) is None, "too large"
    assert chance(release, case(release, purchase(amount_base=None))) is None, "of an unknown amount"
    degraded = msgspec.structs.replace(plain.judgement, degraded=("live_state",))
    assert chance(release, plain._replace(judgement=degraded)) is None, "degraded"
    assert chance(release, plain._replace(signals=None)) is None, "nobody knows whether it is on a list"
    assert chance(release, plain._replace(signals={"denied": True})) is None, "on a list"
    assert chance(release, plain._replace(signals={"denied": False})) == TERMS.share
    for floor in (Action.REVIEW, Action.DECLINE):
        found = Findings((Hit("r1", 0, floor, False, ""),))
        monkeypatch.setattr(release.rules, "find", lambda *_, found=found: found)
        assert chance(release, plain) is None, "a rule's floor stands"
    monkeypatch.setattr(release.rules, "find", lambda *_: Findings((), (), ("broken",)))
    assert chance(release, plain) is None


def test_the_draw_is_the_same_for_an_event_and_keeps_to_the_share() -> None:
    events = [purchase(f"tx{n}") for n in range(20_000)]
    drawn = [is_drawn(0.05, event, _mac) for event in events]
    assert drawn == [is_drawn(0.05, event, _mac) for event in events]
    assert sum(drawn) == pytest.approx(1000, abs=4 * (20_000 * 0.05 * 0.95) ** 0.5)
    narrower = [is_drawn(0.01, event, _mac) for event in events]
    assert all(wide or not narrow for wide, narrow in zip(drawn, narrower, strict=True))
    other = [is_drawn(0.05, purchase(f"tx{n}", tenant="other"), _mac) for n in range(20_000)]
    assert other != drawn


def test_what_is_let_through_is_approved_and_says_why() -> None:
    plain = case(exploring(), purchase()).judgement
    through = let_through(plain, 0.05)
    assert (through.action, through.score) == (Action.APPROVE, plain.score)
    assert (through.factors[-1].name, through.factors[-1].points) == (FACTOR, 0)
    assert "5.00%" in through.factors[-1].text


class _Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now


def _tries(explorer: Explorer, release: Loaded, many: int, amount_base: int = 100_000) -> list[bool]:
    """Whether each of some purchases was let through."""
    found = [explorer.explored(release, case(release, purchase(f"t{n}", amount_base=amount_base))) for n in range(many)]
    return [judgement.action is Action.APPROVE for judgement, _ in found]


def test_before_the_ledger_was_heard_and_after_the_days_most_nothing_is_let_through() -> None:
    clock, release = _Clock(), exploring()
    explorer = Explorer(always, clock)
    assert _tries(explorer, release, 2) == [False, False]
    explorer.hear({}, clock.now)
    assert _tries(explorer, release, 5) == [True, True, True, False, False], "100,000 each, 300,000 a day"
    assert _tries(explorer, release, 1, amount_base=1) == [False]
    explorer.hear({("demo", "ecommerce"): 200_000}, clock.now + 60_000_000)
    clock.now += 60_000_000
    assert _tries(explorer, release, 3) == [True, False, False], "what the ledger knows, and what came since"
    clock.now += 61_000_000
    explorer.hear({}, clock.now - 61_000_000)
    assert _tries(explorer, release, 1) == [False], "unheard for too long"
    clock.now += DAY
    assert _tries(explorer, release, 1) == [False], "nothing was heard of this day yet"
    explorer.hear({}, clock.now)
    assert _tries(explorer, release, 1) == [True]


def test_another_tenants_day_is_its_own() -> None:
    clock, release = _Clock(), exploring()
    explorer = Explorer(always, clock)
    explorer.hear({("other", "ecommerce"): 300_000}, clock.now)
    assert _tries(explorer, release, 1) == [True]


def test_without_room_nothing_is_drawn_so_that_a_chance_that_is_stored_was_one() -> None:
    clock, release = _Clock(), exploring()
    explorer = Explorer(never, clock)
    one = case(release, purchase())
    assert explorer.explored(release, one) == (one.judgement, None)
    explorer.hear({}, clock.now)
    assert explorer.explored(release, one) == (one.judgement, TERMS.share)


@given(st.lists(st.integers(1, 200_000), max_size=30))
def test_never_more_than_the_days_most_is_let_through(amounts: list[int]) -> None:
    clock, release = _Clock(), exploring()
    explorer = Explorer(always, clock)
    explorer.hear({}, clock.now)
    total = 0
    for n, amount in enumerate(amounts):
        judgement, _ = explorer.explored(release, case(release, purchase(f"t{n}", amount_base=amount)))
        total += amount * (judgement.action is Action.APPROVE)
        clock.now += 3_000_000
        explorer.hear({("demo", "ecommerce"): total}, clock.now)
    assert total <= TERMS.most_a_day


def _decided(mac: object, release: Loaded) -> tuple[MemoryLedger, Kept]:
    a, b, c, d = threads = [OwnThread(name) for name in "abcd"]
    ledger = MemoryLedger()
    explorer = Explorer(mac, lambda: NOON)  # type: ignore[arg-type]
    explorer.hear({}, NOON)
    ports = Ports(MemoryState(), ledger, a, b, c, d, explorer=explorer)
    decider = Decider(ports, 60_000, Source(lambda: NOON, lambda: "dec_1"))
    request = Request(purchase(), "req_1", "d" * 64, explain=True)
    try:
        decided = asyncio.run(decider.decide(request, Champion(release, MemoryBatch())))
    finally:
        for thread in threads:
            thread.close()
    decision = decided.decision
    assert decision is not None
    kept = msgspec.structs.replace(decision, vector=Vector((), decision.vector.values, decision.vector.missing))
    return ledger, Kept(request.event, kept, True, columns(decision, decided.answer))


@pytest.mark.parametrize(("mac", "through"), [(always, True), (never, False)])
def test_a_drawn_decision_is_stored_with_its_chance_and_made_again(mac: object, through: bool) -> None:
    release = exploring()
    ledger, kept = _decided(mac, release)
    (record,) = ledger.rows.values()
    decision = record.decision
    assert (decision.propensity, decision.let_through, decision.judged) == (TERMS.share, through, Action.DECLINE)
    answer = msgspec.json.decode(record.answer)
    assert answer["decision"] == ("APPROVE" if through else "DECLINE")
    assert answer.get("explored") == (True if through else None)
    assert list(replay(release, [kept])) == [None]


def test_a_replay_finds_what_could_not_have_been_let_through() -> None:
    release = exploring()
    _, kept = _decided(always, release)
    (found,) = replay(exploring(None), [kept])
    assert found is not None
    assert {part.column for part in found.parts} == {"decision", "factors", "answer", "propensity"}


def test_without_terms_nothing_is_said_of_it() -> None:
    ledger, kept = _decided(always, exploring(None))
    (record,) = ledger.rows.values()
    assert (record.decision.propensity, record.decision.action) == (None, Action.DECLINE)
    assert b"explored" not in encode(record.decision)
    assert list(replay(exploring(None), [kept])) == [None]


@pytest.mark.parametrize("wrong", [(0.0, 1, 1), (0.051, 1, 1), (-0.1, 1, 1), (0.01, 0, 5), (0.01, 6, 5)])
def test_terms_that_are_none_are_refused(wrong: tuple[float, int, int]) -> None:
    with pytest.raises(InvalidInput, match="exploration"):
        Exploration(*wrong)


def test_a_policy_keeps_its_terms_and_says_nothing_without_any() -> None:
    plain = Policy(1, 2, "EUR", MODULE.costs)
    assert b"exploration" not in plain.to_json()
    with_terms = replace(plain, exploration=TERMS)
    assert Policy.from_json(with_terms.to_json()) == with_terms
