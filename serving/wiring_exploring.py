"""Exploration in a service: who draws, and how it hears what was let through today."""

from collections.abc import Callable, Mapping

import sqlalchemy as sa

from fradect.adapters.drawn_declines import let_through_since
from fradect.decide import Champion
from fradect.exploration import Explorer
from fradect.types import DAY


class Exploring:
    """`explorer` draws for this process; `follow` is a chore."""

    def __init__(
        self,
        engine: sa.Engine,
        mac: Callable[[bytes], bytes],
        now: Callable[[], int],
        champions: Callable[[], Mapping[tuple[str, str], Champion]],
    ) -> None:
        self.explorer = Explorer(mac, now)
        self._engine, self._now, self._champions = engine, now, champions

    def follow(self) -> None:
        """The ledger is not asked while no release that decides explores."""
        if any(champion.release.policy.exploration is not None for champion in self._champions().values()):
            asked_at = self._now()
            self.explorer.hear(let_through_since(self._engine, asked_at - asked_at % DAY), asked_at)
