"""Windows over a key of which nothing is known but the event itself: what a new customer or device has."""

import math
from collections.abc import Sequence

from fradect.features.contract import Aggregate, Feature, Window
from fradect.features.held import ABSENT
from fradect.features.layout import EntityLayout

_NUMBERS = (Aggregate.SUM, Aggregate.MEAN, Aggregate.MAX, Aggregate.MIN)
_OF_NOTHING = {Aggregate.COUNT: 0.0, Aggregate.SUM: 0.0, Aggregate.DISTINCT: 0.0}


class FirstWindows:
    """Most answers do not depend on the event; those that do are one of its values, or whether it has one."""

    def __init__(self, layout: EntityLayout, windows: Sequence[tuple[Feature, Window]]) -> None:
        own = [(f.name, w.aggregate, 2 + layout.names.index(w.of)) for f, w in windows if w.include_self and w.of]
        self._always = {f.name: _always(w) for f, w in windows}
        self._numbers = tuple((name, place) for name, aggregate, place in own if aggregate in _NUMBERS)
        self._codes = tuple((name, place) for name, aggregate, place in own if aggregate is Aggregate.DISTINCT)

    def fill(self, row: list[int], out: dict[str, float]) -> None:
        """Put the windows' values into `out`, given the event's row."""
        out.update(self._always)
        for name, place in self._numbers:
            out[name] = float(row[place])
        for name, place in self._codes:
            if row[place] == ABSENT:
                out[name] = 0.0


def _always(window: Window) -> float:
    if window.include_self and window.aggregate in (Aggregate.COUNT, Aggregate.DISTINCT):
        return 1.0
    return _OF_NOTHING.get(window.aggregate, math.nan)
