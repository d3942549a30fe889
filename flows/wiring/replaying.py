"""A live state of its own for a replay, rebuilt from the log as it was before the first event, and what to play."""

import math
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flows.wiring import Workshop
from fradect.adapters.places import scratch
from fradect.adapters.replay_source import Between, ReplaySource
from fradect.adapters.state_rebuild import rebuild
from fradect.adapters.state_sqlite import SqliteState
from fradect.features.contract import Contract
from fradect.features.live import Reader
from fradect.features.replay import LivePath, ReplayReport, replay
from fradect.features.replay_inputs import Inputs, inputs_of

__all__ = ["Between", "Play", "chosen", "play", "stretch_of"]


@dataclass(frozen=True, slots=True)
class Play:
    """What to replay, and in what live state: a scratch file of its own, unless a URL says where.

    There it gets a scope that nobody else uses, and takes it away afterwards.
    """

    contract: Contract
    between: Between
    state_url: str | None = None


def chosen(shop: Workshop, contract: Contract, since: int | None, until: int | None) -> Between:
    """The events between two moments; by default all that have everything behind them that a window may look at.

    A log that is shorter than that is played from its beginning. NotFound when no event is there.
    """
    reader = Reader(shop.module, contract)
    source = ReplaySource(shop.places, shop.module, contract, reader.layout, shop.tenant)
    first, last = source.bounds()
    if since is None:
        full = first + reader.layout.horizon
        since = full if full <= last else first
    return source.between(since, last + 1 if until is None else until)


def stretch_of(shop: Workshop, contract: Contract, since: int, events: int, seed: int) -> Between:
    """A run of so many events from a moment on, where in the log the seed says."""
    source = ReplaySource(shop.places, shop.module, contract, Reader(shop.module, contract).layout, shop.tenant)
    _, last = source.bounds()
    part = math.modf(seed * (math.sqrt(5) - 1) / 2)[0]
    return source.shortened(source.between(since, last + 1), events, part)


def play(
    shop: Workshop, asked: Play, notice: Callable[[int], None] = lambda _played: None
) -> tuple[ReplayReport, list[Inputs]]:
    """The report, and both sides of its examples. What is derived from the log must be up to date."""
    reader = Reader(shop.module, asked.contract)
    between = asked.between
    with _state(shop, asked.state_url) as (state, tenant):
        source = ReplaySource(shop.places, shop.module, asked.contract, reader.layout, tenant)
        snapshots = source.snapshots()
        rebuild(state, tenant, reader.layout, shop.places.log, until_seq=between.first - 1)
        last_seq = state.mark(tenant, shop.module.name).last_seq
        report = replay(LivePath(state, reader, snapshots, last_seq), source.stretch(between), notice)
    return report, [inputs_of(found, asked.contract, reader.layout, source, snapshots) for found in report.examples]


@contextmanager
def _state(shop: Workshop, url: str | None) -> Iterator[tuple[SqliteState, str]]:
    """An empty state, and the tenant's name to use there."""
    with scratch(shop.home) as folder:
        state = SqliteState(folder / "state.db", scratch=True)
        try:
            yield state, shop.tenant if url is None else f"replay-{secrets.token_hex(8)}"
        finally:
            state.close()
