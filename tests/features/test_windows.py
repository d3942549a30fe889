"""The kernel against the definition of a window, read aloud."""

import math
from collections.abc import Callable, Sequence
from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fradect.features import windows
from fradect.features.contract import Aggregate, Window
from fradect.features.globe import NOWHERE, kilometres
from fradect.features.windows import Entries, Queries, codes, look_back
from fradect.types import SECOND, OutcomeKind

WITHOUT_FIELD = (Aggregate.COUNT, Aggregate.SHARE, Aggregate.SINCE_LAST)
LENGTHS = (1, 7, 1000)


def _window(aggregate: Aggregate, length: int, include_self: bool) -> Window:
    outcome = OutcomeKind.FRAUD if aggregate is Aggregate.SHARE else None
    of = None if aggregate in WITHOUT_FIELD else "of"
    return Window("c", aggregate, length, of=of, outcome=outcome, include_self=include_self)


DISTANCES = [_window(Aggregate.KM_SINCE_LAST, length, include_self=False) for length in LENGTHS]
ANYWHERE = [a for a in Aggregate if a is not Aggregate.KM_SINCE_LAST]
WINDOWS = [_window(a, length, own) for a in ANYWHERE for length in LENGTHS for own in (True, False)]

Row = tuple[int, int, int, int, int]  # key, time, seq, value, outcome


@st.composite
def _rows(draw: st.DrawFn, most: int = 25) -> list[Row]:
    """Rows sorted by (key, time, seq) whose sequence order has nothing to do with their time order."""
    n = draw(st.integers(0, most))
    cells = draw(
        st.lists(
            st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(-1, 4), st.integers(0, 1)),
            min_size=n,
            max_size=n,
        )
    )
    numbers = draw(st.permutations(range(1, n + 1)))
    return sorted((k, t, s, v, o) for (k, t, v, o), s in zip(cells, numbers, strict=True))


def _columns(rows: Sequence[Sequence[int]], width: int) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    return [np.array([row[i] for row in rows], np.int64) for i in range(width)]


def _entries(rows: list[Row]) -> Entries:
    key, time, seq, value, outcome = _columns(rows, 5)
    return Entries(key, time, seq, {"of": value, "fraud": outcome})


def _by_definition(window: Window, rows: list[Row], asked: tuple[int, int, int], own: int | None) -> float:
    key, time, seq = asked
    alone = not window.include_self or window.aggregate is Aggregate.SINCE_LAST
    inside = [
        row
        for i, row in enumerate(rows)
        if row[0] == key and time - window.length < row[1] <= time and row[2] <= seq and not (alone and i == own)
    ]
    if window.aggregate is Aggregate.KM_SINCE_LAST:
        places = [row[3] for row in inside]
        return kilometres(places[-1] if places else NOWHERE, NOWHERE if own is None else rows[own][3])
    values = [row[4] if window.outcome else row[3] for row in inside]
    return _AGGREGATES[window.aggregate](values, [time - row[1] for row in inside])


def _mean(values: list[int], _ages: list[int]) -> float:
    return sum(values) / len(values) if values else math.nan


_AGGREGATES: dict[Aggregate, Callable[[list[int], list[int]], float]] = {
    Aggregate.COUNT: lambda values, _: float(len(values)),
    Aggregate.SUM: lambda values, _: float(sum(values)),
    Aggregate.DISTINCT: lambda values, _: float(len({value for value in values if value >= 0})),
    Aggregate.MEAN: _mean,
    Aggregate.SHARE: _mean,
    Aggregate.MAX: lambda values, _: float(max(values, default=math.nan)),
    Aggregate.MIN: lambda values, _: float(min(values, default=math.nan)),
    Aggregate.SINCE_LAST: lambda _, ages: min(ages, default=math.nan) / SECOND,
}


def _assert_as_defined(rows: list[Row], queries: Queries) -> None:
    asked = zip(queries.key.tolist(), queries.time.tolist(), queries.seq.tolist(), strict=True)
    own = [None] * queries.key.size if queries.position is None else queries.position.tolist()
    asked_for = WINDOWS if queries.position is None else WINDOWS + DISTANCES
    expected = [
        [_by_definition(window, rows, query, mine) for window in asked_for]
        for query, mine in zip(asked, own, strict=True)
    ]
    answers = np.array(look_back(asked_for, _entries(rows), queries)).T.reshape(len(own), len(asked_for))
    assert np.array_equal(answers, np.array(expected).reshape(answers.shape), equal_nan=True)


@settings(deadline=None, max_examples=150)
@given(rows=_rows())
def test_every_event_sees_its_windows_as_defined(rows: list[Row]) -> None:
    entries = _entries(rows)
    _assert_as_defined(rows, Queries(entries.key, entries.time, entries.seq, np.arange(len(rows))))


@settings(deadline=None, max_examples=150)
@given(
    rows=_rows(),
    asked=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.integers(0, 30)), max_size=12),
)
def test_queries_that_are_no_entries_see_their_windows_as_defined(
    rows: list[Row], asked: list[tuple[int, int, int]]
) -> None:
    _assert_as_defined(rows, Queries(*_columns(sorted(asked), 3)))


@settings(deadline=None, max_examples=60)
@given(rows=_rows(), data=st.data())
def test_some_of_the_entries_ask(rows: list[Row], data: st.DataObject) -> None:
    entries = _entries(rows)
    chosen = np.array(sorted(data.draw(st.sets(st.integers(0, max(len(rows) - 1, 0))))), np.int64)[: len(rows)]
    _assert_as_defined(rows, Queries(entries.key[chosen], entries.time[chosen], entries.seq[chosen], chosen))


def test_sums_of_money_are_exact_where_floats_would_not_be() -> None:
    cents = np.array([2**53, 1, -(2**53) + 1], np.int64)
    entries = Entries(np.zeros(3, np.int64), np.arange(3), np.arange(3), {"of": cents})
    window = Window("c", Aggregate.SUM, 100, of="of")
    (total,) = look_back([window], entries, Queries(entries.key, entries.time, entries.seq, np.arange(3)))
    assert total[-1] == 2.0


def test_a_window_never_reaches_into_the_key_before() -> None:
    key = np.repeat(np.arange(3), 2)
    entries = Entries(key, np.tile([0, 10], 3), np.arange(6), {})
    queries = Queries(entries.key, entries.time, entries.seq, np.arange(6))
    (count,) = look_back([Window("c", Aggregate.COUNT, 10**12)], entries, queries)
    assert count.tolist() == [1, 2, 1, 2, 1, 2]


@settings(deadline=None, max_examples=60)
@given(rows=_rows(), apart=st.sampled_from([2**40, 2**58, 2**61]))
def test_keys_too_far_apart_for_64_bits_are_answered_in_halves(rows: list[Row], apart: int) -> None:
    far = [(key * apart, *rest) for key, *rest in rows]
    entries = _entries(far)  # type: ignore[arg-type]
    _assert_as_defined(far, Queries(entries.key, entries.time, entries.seq, np.arange(len(far))))  # type: ignore[arg-type]


@settings(deadline=None, max_examples=60)
@given(rows=_rows())
def test_a_log_in_disorder_is_corrected_in_portions(rows: list[Row]) -> None:
    entries = _entries(rows)
    with mock.patch.object(windows, "_PAIRS", 3):
        _assert_as_defined(rows, Queries(entries.key, entries.time, entries.seq, np.arange(len(rows))))


def test_absent_texts_have_a_code_that_no_window_counts() -> None:
    assert codes(["b", None, "a", "b"]).tolist() == [0, -1, 1, 0]
