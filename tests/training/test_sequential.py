"""Evidence over time: right at every look, the same in any order and after any restart."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fradect.errors import InvalidInput
from training.sequential import STAKES, UNIT, Bets, Excess, Values, log_capital, log_evidence

LEVEL = 0.1


def _values(value: np.ndarray, low: float = 1.0, high: float = 1.0) -> Values:
    return Values(np.asarray(value, np.float64), low, high)


def _seen(*batches: np.ndarray) -> Excess:
    excess = Excess()
    for batch in batches:
        excess = excess.add(_values(batch))
    return excess


def test_nothing_seen_says_nothing() -> None:
    nothing = Excess().add(_values(np.zeros(0)))
    assert nothing == Excess()
    assert (nothing.mean, nothing.above.peak) == (0.0, 0.0)
    assert nothing.low(0.05) == -math.inf
    assert nothing.high(0.05) == math.inf


def test_values_that_are_all_the_same_narrow_to_what_they_are() -> None:
    still = _seen(np.zeros(100_000))
    assert still.mean == 0
    assert -0.001 < still.low(0.05) < 0 < still.high(0.05) < 0.001
    assert still.above.peak == 0
    full = _seen(np.ones(5_000))
    assert full.mean == 1
    assert 0.97 < full.low(0.05) < 1 <= full.high(0.05) < 1.01


def test_a_batch_outside_its_bounds_is_refused() -> None:
    with pytest.raises(InvalidInput, match="clip"):
        _values(np.array([-1.5]))
    with pytest.raises(InvalidInput, match="bounds"):
        _values(np.zeros(2), low=0.0)


@pytest.mark.parametrize("rates", [(0.01, 0.01), (0.2, 0.2), (0.0005, 0.0005)])
def test_looking_at_every_step_raises_no_more_false_alarms_than_promised(rates: tuple[float, float]) -> None:
    rng = np.random.default_rng(5)
    runs, looks = 1_000, 300
    plus, minus = (rng.binomial(50, rate, (runs, looks, 1)) for rate in rates)
    gains = plus * log_capital(np.ones(1))[0] + minus * log_capital(-np.ones(1))[0]
    ever = log_evidence(gains.cumsum(axis=1)).max(axis=1) >= -math.log(LEVEL)
    assert ever.mean() <= LEVEL


def test_skewed_values_raise_no_more_false_alarms_than_promised() -> None:
    rng = np.random.default_rng(6)
    runs, n = 300, 2_000
    heavy = np.minimum(rng.lognormal(0, 1.5, (runs, n)), 60.0)
    mean = np.minimum(rng.lognormal(0, 1.5, 4_000_000), 60.0).mean()
    for sign in (1, -1):
        shares = sign * (heavy - mean) / 60.0
        levels = log_capital(shares).cumsum(axis=1)
        assert (log_evidence(levels).max(axis=1) >= -math.log(LEVEL)).mean() <= LEVEL


def test_the_interval_holds_the_mean_at_every_look() -> None:
    rng = np.random.default_rng(7)
    missed = 0
    for _ in range(40):
        draws = rng.choice([-1.0, 0.0, 0.5, 1.0], (12, 150), p=[0.05, 0.8, 0.1, 0.05])
        excess, out = Excess(), False
        for batch in draws:
            excess = excess.add(_values(batch))
            out |= not excess.low(LEVEL / 2) < 0.05 < excess.high(LEVEL / 2)
        missed += out
    assert missed <= 4


def test_the_interval_closes_on_the_mean() -> None:
    draws = np.random.default_rng(8).choice([-1.0, 0.0, 1.0], 60_000, p=[0.01, 0.95, 0.04])
    few, many = _seen(draws[:2_000]), _seen(draws)
    assert few.low(0.05) < many.low(0.05) < 0.03 < many.high(0.05) < few.high(0.05)
    assert many.high(0.05) - many.low(0.05) < 0.01


def test_the_lower_end_passes_nought_when_the_evidence_suffices() -> None:
    excess = Excess()
    rng = np.random.default_rng(9)
    for _ in range(60):
        excess = excess.add(_values(rng.choice([-1.0, 0.0, 1.0], 100, p=[0.02, 0.94, 0.04])))
        now = float(log_evidence(excess.above.capital))
        assert (excess.low(0.05) > 0) == (now >= -math.log(0.05))


@given(arrays(np.float64, st.integers(0, 60), elements=st.floats(-1, 1)), st.randoms())
@settings(max_examples=60, deadline=None)
def test_order_and_cuts_make_no_difference_to_what_is_known(draws: np.ndarray, random: object) -> None:
    whole = _seen(draws)
    shuffled = np.random.default_rng(len(draws)).permutation(draws)
    assert _seen(shuffled) == whole
    cut = _seen(shuffled[: len(draws) // 3], shuffled[len(draws) // 3 :])
    assert (cut.above.capital, cut.below.slope, cut.total) == (whole.above.capital, whole.below.slope, whole.total)


def test_a_restart_goes_on_with_the_same_numbers() -> None:
    batches = np.random.default_rng(10).uniform(-1, 1, (8, 500))
    excess = Excess()
    for batch in batches:
        read = msgspec.json.decode(msgspec.json.encode(excess), type=Excess)
        assert read == excess
        excess = read.add(_values(batch))
    assert excess == _seen(*batches)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_the_peak_never_falls_and_capital_is_never_overstated(draws: list[float]) -> None:
    excess = Excess()
    for draw in draws:
        before, excess = excess, excess.add(_values(np.array([draw])))
        assert excess.above.peak >= before.above.peak
    exact = [math.fsum(math.log1p(stake * draw) for draw in draws) for stake in STAKES]
    assert all(kept / UNIT <= true + 1e-12 for kept, true in zip(excess.above.capital, exact, strict=True))
    assert all(
        kept / UNIT >= true - len(draws) / UNIT - 1e-12 for kept, true in zip(excess.above.capital, exact, strict=True)
    )


def test_narrower_bounds_weigh_more_and_the_interval_still_holds() -> None:
    rng = np.random.default_rng(11)
    excess = Excess()
    for bound in (20.0, 4.0, 2.0):
        draws = rng.choice([-2.0, 0.0, 2.0], 20_000, p=[0.01, 0.97, 0.02])
        excess = excess.add(_values(draws, bound, bound))
    assert excess.seen == 60_000
    assert excess.low(0.05) < 0.02 < excess.high(0.05)
    assert excess.mean == pytest.approx(0.02, abs=0.004)


def test_a_gambler_who_lost_everything_at_high_stakes_keeps_what_was_staked_low() -> None:
    ruined = Bets().add(-np.ones(1_000), 1.0)
    assert ruined.peak == 0
    assert -1_000 < float(log_evidence(ruined.capital)) < 0
    assert math.isfinite(ruined.least(0.05))
