"""The steps of a rollout: one champion always, one challenger at most, and everybody keeps the part they are in."""

import hashlib
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fradect.errors import Conflict, InvalidInput
from fradect.rollout import (
    WHOLE,
    Rollout,
    Stage,
    Step,
    is_chosen,
    named,
    promoted,
    rolled_back,
    shadowed,
    split,
    widened,
)

STEP = Step("tried", "ann", "a test", 1_000)
RELEASES = st.sampled_from(["rel_a", "rel_b", "rel_c"])


def mac(message: bytes) -> bytes:
    return hmac.digest(b"key", message, hashlib.sha256)


def tried(share: int, challenger: str = "rel_b") -> Rollout:
    now = shadowed(named(None, "rel_a", STEP), challenger, STEP)
    return widened(now, share, STEP) if share else now


@given(st.lists(st.integers(1, WHOLE), min_size=2, max_size=6, unique=True).map(sorted), st.text(max_size=20))
def test_whoever_is_in_stays_in_as_the_share_grows(shares: list[int], subject: str) -> None:
    chosen = [is_chosen(tried(share), "demo", subject, mac) for share in shares]
    assert chosen == sorted(chosen)


@pytest.mark.parametrize("share", [1, 500, 2_500, WHOLE - 1])
def test_a_share_is_of_subjects(share: int) -> None:
    many = 40_000
    found = sum(is_chosen(tried(share), "demo", f"customer-{i}", mac) for i in range(many))
    expected = share / WHOLE * many
    assert abs(found - expected) < 5 * (expected * (1 - share / WHOLE)) ** 0.5 + 2


def test_a_shadow_decides_nothing_and_the_whole_everything() -> None:
    assert not any(is_chosen(tried(0), "demo", str(i), mac) for i in range(100))
    assert all(is_chosen(tried(WHOLE), "demo", str(i), mac) for i in range(100))


def test_another_challenger_tenant_or_key_draws_other_parts() -> None:
    def part(challenger: str = "rel_b", tenant: str = "demo", key: bytes = b"key") -> list[bool]:
        now = tried(WHOLE // 2, challenger)
        return [is_chosen(now, tenant, str(i), lambda m: hmac.digest(key, m, hashlib.sha256)) for i in range(64)]

    assert len({tuple(one) for one in (part(), part("rel_c"), part(tenant="t2"), part(key=b"other"))}) == 4


def test_a_promotion_keeps_the_way_back_and_a_rollback_takes_it_once() -> None:
    champion = promoted(tried(500), STEP)
    assert (champion.release, champion.previous, champion.challenger, champion.share) == ("rel_b", "rel_a", None, 0)
    back = rolled_back(champion, STEP)
    assert (back.release, back.previous) == ("rel_a", None)
    with pytest.raises(Conflict, match="no champion before"):
        rolled_back(back, STEP)


def test_a_rollback_of_a_trial_leaves_the_champion() -> None:
    assert rolled_back(tried(2_500), STEP).release == "rel_a"


@pytest.mark.parametrize("share", [0, 500, -1, WHOLE + 1])
def test_a_canary_only_grows(share: int) -> None:
    with pytest.raises(InvalidInput, match="share"):
        widened(tried(500), share, STEP)


def test_a_split_keeps_its_share_and_its_end() -> None:
    trial = split(tried(0), 5_000, 2_000, STEP)
    assert (trial.stage, trial.share, trial.until) == (Stage.SPLIT, 5_000, 2_000)
    with pytest.raises(Conflict):
        widened(trial, 6_000, STEP)
    with pytest.raises(InvalidInput, match="until"):
        split(tried(0), 5_000, STEP.at, STEP)


class Steps(RuleBasedStateMachine):
    """Any steps in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = named(None, "rel_a", STEP)

    def _step(self, after: Rollout) -> None:
        assert after.number == self.now.number + 1
        self.now = after

    @rule(release=RELEASES)
    def name(self, release: str) -> None:
        if self.now.challenger in (None, release):
            self._step(named(self.now, release, STEP))
        else:
            with pytest.raises(Conflict):
                named(self.now, release, STEP)

    @rule(release=RELEASES)
    def shadow(self, release: str) -> None:
        if self.now.challenger is None and release != self.now.release:
            self._step(shadowed(self.now, release, STEP))
        else:
            with pytest.raises(Conflict):
                shadowed(self.now, release, STEP)

    @rule(share=st.integers(1, WHOLE))
    def widen(self, share: int) -> None:
        if self.now.challenger is not None and self.now.share < share:
            self._step(widened(self.now, share, STEP))

    @rule()
    def promote(self) -> None:
        if self.now.challenger is not None:
            self._step(promoted(self.now, STEP))

    @rule()
    def back(self) -> None:
        if self.now.challenger is not None or self.now.previous is not None:
            self._step(rolled_back(self.now, STEP))

    @invariant()
    def whole(self) -> None:
        now = self.now
        assert now.release
        assert now.release not in (now.challenger, now.previous)
        assert (now.challenger is None) == (now.stage is None)
        assert bool(now.share) == (now.stage is Stage.CANARY)


TestSteps = Steps.TestCase
TestSteps.settings = settings(max_examples=60, stateful_step_count=25)
