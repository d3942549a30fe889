"""How an ingestion is to go, and how it goes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fradect.stream.ports import Part


@dataclass(frozen=True, slots=True)
class Options:
    """`tries`: how often a row that is refused is tried; one that breaks the code is tried five times in any case.

    `every`: seconds between reports; `revisit`: between looks at outcomes that wait for their event. `wait`: seconds
    after which what is away is given up (None: never).
    """

    tries: int = 5
    bug_tries: int = 5
    every: float = 1.0
    revisit: float = 10.0
    wait: float | None = None


USUAL = Options()


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts since the start; `rate` is events a second since the last report, in the last one since the start.
    `trouble`: what is waited for, also at the end, when it was stopped then. `waiting`: outcomes, whenever they came,
    whose event is not known yet, as of the last look. `reasons`: of the `dead`."""

    events: int
    outcomes: int
    repeated: int
    dead: int
    rate: float
    lag: Mapping[Part, int]
    trouble: str = ""
    waiting: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)

    @property
    def behind(self) -> int | None:
        """Rows that wait in the stream; None while nobody can tell."""
        return None if self.trouble or not self.lag else sum(self.lag.values())
