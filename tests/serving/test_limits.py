"""Rate limits: no more than the quota in any window's length, whatever the clock, the order or the other workers do."""

import re
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.adapters.rate_counts import RedisCounts
from fradect.errors import InvalidInput, Unavailable
from fradect.ports import Caller
from fradect.settings import GENEROUS, Quota, Settings
from serving.limits import STALE_SECONDS, Counted, Counts, Limits, Quotas, RateLimited

ADA, BOB, EVE = (Caller(tenant, frozenset(), key) for tenant, key in (("a", "k1"), ("a", "k2"), ("e", "k3")))
START = 1_800_000_000.0


class Clock:
    at = START

    def __call__(self) -> float:
        return self.at


class Together:
    """What Redis does, in memory; `is_away` makes it fail."""

    def __init__(self) -> None:
        self.sums: dict[str, int] = {}
        self.is_away = False

    def add(self, counted: Sequence[Counted]) -> Sequence[int]:
        if self.is_away:
            raise Unavailable("away")
        for one in counted:
            self.sums[one.name] = self.sums.get(one.name, 0) + one.more
        return [self.sums[one.name] for one in counted]


def _let_in(limits: Limits, caller: Caller, tries: int) -> int:
    count = 0
    for _ in range(tries):
        try:
            limits.admit(caller)
        except RateLimited:
            continue
        count += 1
    return count


def test_a_key_gets_its_quota_and_headers_say_what_is_left() -> None:
    clock = Clock()
    limits = Limits(Quotas(Quota(2, 60), Quota(5, 60)), now=clock)
    first = dict(limits.admit(ADA))
    assert first == {
        b"ratelimit-policy": b'"key";q=2;w=60, "tenant";q=5;w=60',
        b"ratelimit": b'"key";r=1;t=60',
    }
    limits.admit(ADA)
    with pytest.raises(RateLimited, match="this key") as refused:
        limits.admit(ADA)
    assert dict(refused.value.headers)[b"ratelimit"] == b'"key";r=0;t=60'
    assert refused.value.seconds == 90  # a whole window's length after the second of the two, at an even pace


def test_keys_of_a_tenant_share_the_tenants_quota_and_no_other_tenants() -> None:
    limits = Limits(Quotas(Quota(4, 60), Quota(5, 60)), now=Clock())
    assert _let_in(limits, ADA, 9) == 4
    assert _let_in(limits, BOB, 9) == 1
    assert _let_in(limits, EVE, 9) == 4


def test_a_tenant_can_have_a_quota_of_its_own() -> None:
    limits = Limits(Quotas(None, Quota(5, 60), {"e": Quota(1, 60)}), now=Clock())
    assert _let_in(limits, EVE, 9) == 1
    assert _let_in(limits, ADA, 9) == 5


def test_without_quotas_nothing_is_limited_and_nothing_is_said() -> None:
    limits = Limits(Quotas())
    assert limits.admit(ADA) == []
    assert not limits.crowds("a")
    only = Limits(Quotas(Quota(1, 60)), now=Clock())
    assert _let_in(only, ADA, 3) == 1


@given(st.lists(st.tuples(st.floats(0, 9), st.integers(1, 30)), max_size=25), st.integers(1, 20))
def test_no_window_of_the_clock_lets_more_in_and_two_never_twice_as_much(
    bursts: list[tuple[float, int]], most: int
) -> None:
    clock = Clock()
    limits = Limits(Quotas(Quota(most, 10)), now=clock)
    by_window: dict[int, int] = {}
    for pause, tries in bursts:
        clock.at += pause
        let_in = _let_in(limits, ADA, tries)
        window = int(clock.at // 10)
        by_window[window] = by_window.get(window, 0) + let_in
    assert all(count <= most for count in by_window.values())


@given(st.integers(1, 50), st.floats(0, 59.9))
def test_who_waits_as_long_as_told_gets_in(most: int, into: float) -> None:
    clock = Clock()
    clock.at += into
    limits = Limits(Quotas(Quota(most, 60)), now=clock)
    assert _let_in(limits, ADA, most + 3) == most
    for _ in range(3):
        with pytest.raises(RateLimited) as refused:
            limits.admit(ADA)
        clock.at += refused.value.seconds
        limits.admit(ADA)
        _let_in(limits, ADA, most)


def test_a_quota_comes_back_at_an_even_pace_not_all_at_once() -> None:
    clock = Clock()
    limits = Limits(Quotas(Quota(60, 60)), now=clock)
    assert _let_in(limits, ADA, 99) == 60
    clock.at = START + 90
    assert _let_in(limits, ADA, 99) == 30


@pytest.mark.parametrize("step", [-3600.0, 3600.0, -86_400.0])
def test_a_clock_that_jumps_locks_nobody_out(step: float) -> None:
    clock = Clock()
    limits = Limits(Quotas(Quota(3, 60)), now=clock)
    assert _let_in(limits, ADA, 9) == 3
    clock.at += step
    assert _let_in(limits, ADA, 9) == 3


def test_workers_count_together_in_the_background() -> None:
    clock, together = Clock(), Together()
    one, two = (Limits(Quotas(Quota(10, 60)), together, 2, clock) for _ in range(2))
    assert _let_in(one, ADA, 6) == 6
    assert _let_in(two, ADA, 1) == 1
    one.share()
    two.share()
    one.share()
    assert _let_in(two, ADA, 9) == 3
    two.share()
    one.share()
    assert _let_in(one, ADA, 9) == 0


def test_what_was_counted_before_the_window_ended_is_told_after_it() -> None:
    clock, together = Clock(), Together()
    limits = Limits(Quotas(Quota(10, 60)), together, 2, clock)
    _let_in(limits, ADA, 4)
    clock.at += 60
    _let_in(limits, ADA, 1)
    limits.share()
    assert sorted(together.sums.values()) == [1, 4]


def test_alone_each_worker_gives_its_share_until_they_count_together_again(caplog: pytest.LogCaptureFixture) -> None:
    clock, together = Clock(), Together()
    limits = Limits(Quotas(Quota(12, 60)), together, 4, clock)
    _let_in(limits, ADA, 1)
    limits.share()
    together.is_away = True
    limits.share()
    assert _let_in(limits, BOB, 20) == 12  # one that fails is no reason yet
    clock.at += STALE_SECONDS + 0.1
    limits.share()
    limits.share()
    assert _let_in(limits, EVE, 20) == 3
    together.is_away = False
    limits.share()
    assert _let_in(limits, EVE, 20) == 9
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_who_asks_no_more_is_forgotten() -> None:
    clock = Clock()
    limits = Limits(Quotas(Quota(3, 60), Quota(3, 60)), now=clock)
    for i in range(50):
        limits.admit(Caller("a" if i < 3 else f"t{i}", frozenset(), f"k{i}"))
    clock.at += 121
    limits.admit(EVE)
    limits.share()
    assert (list(limits._keys.windows), list(limits._tenants.windows)) == (["k3"], ["e"])


def test_a_tenant_crowds_when_it_asks_for_more_than_its_share_and_is_not_alone() -> None:
    clock = Clock()
    limits = Limits(Quotas(None, Quota(1000, 60)), now=clock)
    _let_in(limits, ADA, 100)
    assert not limits.crowds("a")
    _let_in(limits, EVE, 10)
    clock.at += 0.2
    assert limits.crowds("a")
    assert not limits.crowds("e")
    assert not limits.crowds("nobody")


@pytest.fixture
def redis_counts(redis_db: str) -> Callable[[], Counts]:
    return lambda: RedisCounts(redis_db)


def test_redis_adds_up_over_processes_and_forgets(redis_counts: Callable[[], Counts], redis_db: str) -> None:
    one, two = redis_counts(), redis_counts()
    asked = [Counted("key:ada@example.org", 3, 60), Counted("tenant:a", 0, 60)]
    assert one.add(asked) == [3, 0]
    assert two.add(asked) == [6, 0]
    client = one._storage.storage  # type: ignore[attr-defined]
    names = client.keys("*")
    assert len(names) == 2
    assert all(re.fullmatch(rb"fradect:rate:[0-9a-f]{32}", name) for name in names)  # nobody's address
    assert all(0 < client.ttl(name) <= 60 for name in names)


def test_real_workers_over_a_real_redis_let_in_what_one_would(redis_counts: Callable[[], Counts]) -> None:
    clock = Clock()
    workers = [Limits(Quotas(Quota(100, 60)), redis_counts(), 3, clock) for _ in range(3)]
    total = 0
    for _ in range(30):
        for worker in workers:
            total += _let_in(worker, ADA, 2)
            worker.share()
    assert 100 <= total <= 106  # over by what two others let in between two of their exchanges


def test_a_redis_that_is_away_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="rate limits"):
        RedisCounts("redis://127.0.0.1:9/0").add([Counted("a", 1, 60)])


def test_settings_name_quotas_as_people_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRADECT_RATE_LIMIT_KEY", "600/minute")
    monkeypatch.setenv("FRADECT_RATE_LIMIT_TENANT", "off")
    monkeypatch.setenv("FRADECT_RATE_LIMIT_TENANTS", "acme=5/second, b=eta=1000/hour")
    settings = Settings.from_env()
    assert (settings.key_quota, settings.tenant_quota) == (Quota(600, 60), None)
    assert settings.tenant_quotas == {"acme": Quota(5, 1), "b=eta": Quota(1000, 3600)}
    monkeypatch.delenv("FRADECT_RATE_LIMIT_KEY")
    assert Settings.from_env().key_quota == GENEROUS


@pytest.mark.parametrize(
    ("name", "text"),
    [("KEY", "0/minute"), ("KEY", "many"), ("TENANT", "5/day"), ("TENANTS", "5/minute"), ("TENANTS", "a=off")],
)
def test_quotas_that_are_none_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(f"FRADECT_RATE_LIMIT_{name}", text)
    with pytest.raises(InvalidInput, match="600/minute"):
        Settings.from_env()
