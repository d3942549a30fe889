"""The kernel for one event: the same windows as fradect/features/windows.py, over what the live state holds.

Plain Python on whole numbers, since numpy's overhead for a handful of rows is many times the work. What does not
depend on the event is worked out when a contract is made ready. The two forms are held together bit for bit by
tests/features/test_moment.py and by every replay; tests/features/plain_moment.py says what each window is in the
plainest words.
"""

from collections.abc import Callable

from fradect.features.contract import Contract
from fradect.features.held import Held
from fradect.features.layout import EntityLayout
from fradect.features.moment_exact import ExactWindows
from fradect.features.moment_outcomes import OutcomeWindows
from fradect.features.moment_tiled import TiledWindows

Read = Callable[[Held, int, int, dict[str, float]], bool]


class EntityReader:
    """Answers a contract's windows over one entity.

    `read` puts every window's value, as seen by the event of this time (microseconds) and number, into a dict. It
    returns False when the event is no longer told apart there; what is in the dict then means nothing.
    """

    def __init__(self, layout: EntityLayout, contract: Contract) -> None:
        windows = [(f, w) for f, w in contract.windows if w.entity == layout.entity]
        self.entity = layout.entity
        self.names = tuple(f.name for f, _ in windows)
        exact = [(f, w) for f, w in windows if w.outcome is None and not w.resolution]
        tiled = [(f, w) for f, w in windows if w.outcome is None and w.resolution]
        outcomes = [(f, w) for f, w in windows if w.outcome is not None]
        parts: list[Read] = [ExactWindows(layout, exact).read] if exact else []
        parts += [TiledWindows(layout, tiled).read] if tiled else []
        parts += [OutcomeWindows(layout, outcomes).read] if outcomes else []
        self._parts = tuple(parts)
        self._empty = tuple((f.name, f.empty) for f, _ in windows if f.empty is not None)
        self.read: Read = self._read_all if len(parts) > 1 or self._empty else parts[0]

    def _read_all(self, held: Held, time: int, seq: int, out: dict[str, float]) -> bool:
        for read in self._parts:
            if not read(held, time, seq, out):
                return False
        for name, empty in self._empty:
            if out[name] != out[name]:  # NaN
                out[name] = empty
        return True
