"""Exploration in a service: who draws, and how it hears what was let through today."""

from collections.abc import Callable, Iterator

import sqlalchemy as sa

from fradect.adapters.drawn_declines import let_through_since
from fradect.exploration import Explorer
from fradect.judgement import Loaded
from fradect.types import DAY
from serving.champions import Champions


class Exploring:
    """`explorer` draws for this process; `follow` is a chore."""

    def __init__(
        self,
        engine: sa.Engine,
        mac: Callable[[bytes], bytes],
        now: Callable[[], int],
        champions: Champions,
    ) -> None:
        self.explorer = Explorer(mac, now)
        self._engine, self._now, self._champions = engine, now, champions

    def follow(self) -> None:
        """The ledger is not asked while no release that decides explores."""
        if any(release.policy.exploration is not None for release in self._deciding()):
            asked_at = self._now()
            self.explorer.hear(let_through_since(self._engine, asked_at - asked_at % DAY), asked_at)

    def _deciding(self) -> Iterator[Loaded]:
        for module, tenant_id in self._champions.all():
            deciding = self._champions.deciding(module, tenant_id)
            yield deciding.champion.release
            if deciding.challenger is not None:
                yield deciding.challenger.release
