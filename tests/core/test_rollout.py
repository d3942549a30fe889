"""The steps of a rollout: one champion always, one challenger at most, and everybody keeps the part they are in."""

import hashlib
import hmac
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fradect.errors import Conflict, InvalidInput
from fradect.rollout import (
    WHOLE,
    Rollout,
    Shown,
    Stage,
    Step,
    approved,
    declined,
    is_agreed,
    is_chosen,
    named,
    needs_second,
    promoted,
    proposed,
    rolled_back,
    shadowed,
    split,
    widened,
)

STEP = Step("tried", "ann", "a test", 1_000)
RELEASES = st.sampled_from(["rel_a", "rel_b", "rel_c"])
PEOPLE = st.sampled_from(["ann", "bob", "cyd"])


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


CARD = (Shown("declines", "pass", "41 against 39"),)


def waiting(by: str = "ann", share: int = 500) -> Rollout:
    now = tried(0)
    return proposed(now, widened(now, share, Step("canary", by, "a test", 2_000)), CARD)


def test_a_proposal_changes_nothing_but_that_it_waits_with_its_card() -> None:
    before, now = tried(0), waiting("cyd")
    assert (now.number, now.share, now.stage, now.since) == (before.number + 1, 0, Stage.SHADOW, before.since)
    assert now.proposed is not None
    assert (now.proposed.release, now.proposed.share, now.proposed.card) == ("rel_b", 500, CARD)
    assert (now.proposed.asked.what, now.proposed.asked.by) == ("canary", "cyd")
    other = proposed(tried(0), widened(tried(0), 500, STEP), (Shown("declines", "pass", "another"),))
    assert other.proposed is not None
    assert other.proposed.evidence != now.proposed.evidence


@pytest.mark.parametrize(("by", "why"), [("ann", "began this trial"), ("cyd", "asked for this step")])
def test_whoever_asked_or_began_is_no_second_person(by: str, why: str) -> None:
    now = waiting("cyd")
    with pytest.raises(Conflict, match=why):
        approved(now, Step("approved", by, "yes", 3_000))
    yes = approved(now, Step("approved", "bob", "yes", 3_000))
    with pytest.raises(Conflict, match="by bob already"):
        approved(yes, Step("approved", "dan", "yes", 4_000))


def test_what_was_agreed_to_is_this_step_and_no_other() -> None:
    now = approved(waiting(), Step("approved", "bob", "yes", 3_000))
    assert is_agreed(now, widened(now, 500, STEP))
    assert not is_agreed(now, widened(now, 600, STEP))
    assert not is_agreed(now, split(now, 500, 9_000, STEP))
    assert not is_agreed(now, promoted(now, STEP))
    assert not is_agreed(waiting(), widened(waiting(), 500, STEP))


@pytest.mark.parametrize("step", [promoted, rolled_back, lambda now, step: widened(now, 600, step)])
def test_a_proposal_is_over_when_the_rollout_goes_on(step: Callable[[Rollout, Step], Rollout]) -> None:
    gone_on = step(approved(waiting(), Step("approved", "bob", "yes", 3_000)), STEP)
    assert (gone_on.proposed, gone_on.approved) == (None, None)
    with pytest.raises(Conflict, match="nothing waits"):
        approved(gone_on, Step("approved", "bob", "yes", 3_000))


def test_what_was_proposed_of_an_older_rollout_is_not_proposed() -> None:
    then = tried(0)
    after = widened(then, 500, STEP)
    with pytest.raises(Conflict, match="look again"):
        proposed(rolled_back(then, STEP), after, CARD)


def test_a_no_withdraws_the_challenger_and_leaves_the_champion() -> None:
    after = declined(waiting(), STEP)
    assert (after.release, after.challenger, after.proposed) == ("rel_a", None, None)
    alone = named(None, "rel_a", STEP)
    kept = declined(proposed(alone, named(alone, "rel_b", STEP), CARD), STEP)
    assert (kept.release, kept.previous, kept.proposed) == ("rel_a", None, None)
    with pytest.raises(Conflict, match="nothing waits"):
        declined(kept, STEP)


def test_steps_that_need_a_second_person() -> None:
    first, shadow, canary = named(None, "rel_a", STEP), tried(0), tried(500)
    champion = promoted(canary, STEP)
    assert not needs_second(None, first)
    assert not needs_second(first, shadow)
    assert needs_second(shadow, canary)
    assert needs_second(shadow, split(shadow, 500, 9_000, STEP))
    assert not needs_second(canary, widened(canary, 2_500, STEP))
    assert needs_second(canary, widened(canary, WHOLE, STEP))
    assert needs_second(canary, champion)
    assert needs_second(champion, named(champion, "rel_a", STEP)), "named again it is no way back"
    assert not needs_second(champion, rolled_back(champion, STEP))
    assert not needs_second(canary, rolled_back(canary, STEP))


class Steps(RuleBasedStateMachine):
    """Any steps in any order. `agreed`: what a second person said yes to, and has not been taken."""

    def __init__(self) -> None:
        super().__init__()
        self.now = named(None, "rel_a", STEP)
        self.agreed: Rollout | None = None
        self.wished: Rollout | None = None

    def _step(self, after: Rollout) -> None:
        assert after.number == self.now.number + 1
        if needs_second(self.now, after):
            assert is_agreed(self.now, after) == (self.agreed is not None and _same(self.agreed, after))
        self.now, self.agreed = after, None

    @rule(release=RELEASES, share=st.sampled_from([500, WHOLE]), by=PEOPLE)
    def propose(self, release: str, share: int, by: str) -> None:
        step = Step("wished", by, "a test", 2_000)
        now = self.now
        after = named(now, release, step) if now.challenger in (None, release) else _wider(now, share, step)
        if now.proposed is None and after is not None and needs_second(now, after):
            self._wait(proposed(now, after, CARD))
            self.wished = after
        elif after is not None:
            with pytest.raises(Conflict):
                proposed(now, after, CARD)

    @rule(by=PEOPLE)
    def approve(self, by: str) -> None:
        waits, step = self.now.proposed, Step("approved", by, "yes", 3_000)
        if waits is None or self.now.approved is not None or by in (waits.asked.by, self.now.begun_by):
            with pytest.raises(Conflict):
                approved(self.now, step)
        else:
            self._wait(approved(self.now, step))
            self.agreed = self.wished

    def _wait(self, after: Rollout) -> None:
        """Nothing but what waits may have changed."""
        assert after.number == self.now.number + 1
        kept = {name: getattr(after, name) for name in ("release", "challenger", "stage", "share", "since", "previous")}
        assert kept == {name: getattr(self.now, name) for name in kept}
        self.now = after

    @rule()
    def refuse(self) -> None:
        if self.now.proposed is not None:
            self._step(declined(self.now, STEP))

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
        assert now.approved is None or now.proposed is not None
        if now.approved is not None and now.proposed is not None:
            assert now.approved.by not in (now.proposed.asked.by, now.begun_by)
        assert now.release
        assert now.release not in (now.challenger, now.previous)
        assert (now.challenger is None) == (now.stage is None)
        assert bool(now.share) == (now.stage is Stage.CANARY)


def _wider(now: Rollout, share: int, step: Step) -> Rollout | None:
    return widened(now, share, step) if now.share < share else None


def _same(one: Rollout, other: Rollout) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in ("release", "challenger", "stage", "share"))


TestSteps = Steps.TestCase
TestSteps.settings = settings(max_examples=60, stateful_step_count=25)
