"""A live state of its own for a replay, rebuilt from the log as it was before the first event, and what to play."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from flows.wiring import Workshop
from fradect.adapters.replay_source import Between, ReplaySource
from fradect.adapters.state_rebuild import rebuild
from fradect.adapters.state_scratch import check_scratch, scratch_state
from fradect.features.contract import Contract
from fradect.features.live import Reader
from fradect.features.replay import LivePath, ReplayReport, replay
from fradect.features.replay_inputs import Inputs, inputs_of

__all__ = ["Between", "Found", "Play", "check_scratch", "chosen", "play", "stretch_of"]


@dataclass(frozen=True, slots=True)
class Play:
    """What to replay, and in what live state: a scratch file of its own, unless a URL names a Redis."""

    contract: Contract
    between: Between
    state_url: str | None = None


def chosen(shop: Workshop, contract: Contract, since: int | None, until: int | None) -> Between:
    """The events between two moments; by default all that have everything behind them that a window may look at,
    counted from where the log begins in earnest.

    A log that is shorter than that is played from its beginning. NotFound when no event is there.
    """
    reader = Reader(shop.module, contract)
    source = ReplaySource(shop.places, shop.module, contract, reader.layout, shop.tenant)
    first, last = source.bounds()
    if since is None:
        full = max(first, source.begins()) + reader.layout.horizon
        since = full if full <= last else first
    return source.between(since, last + 1 if until is None else until)


def stretch_of(shop: Workshop, contract: Contract, since: int, events: int, seed: int) -> Between:
    """A run of so many events from a moment on, where in the log the seed says."""
    source = ReplaySource(shop.places, shop.module, contract, Reader(shop.module, contract).layout, shop.tenant)
    part = math.modf(seed * (math.sqrt(5) - 1) / 2)[0]
    return source.shortened(source.between(since, source.bounds()[1] + 1), events, part)


@dataclass(frozen=True, slots=True)
class Found:
    """A report, both sides of its examples, and in what live state it came about."""

    report: ReplayReport
    inputs: list[Inputs]
    state: str


def play(shop: Workshop, asked: Play, notice: Callable[[int], None] = lambda _played: None) -> Found:
    """Rebuild a state as of before the first event, then play. What is derived from the log must be up to date."""
    reader = Reader(shop.module, asked.contract)
    between, module = asked.between, shop.module.name
    with scratch_state(shop.home, shop.tenant, module, asked.state_url) as used:
        source = ReplaySource(shop.places, shop.module, asked.contract, reader.layout, used.tenant)
        snapshots = source.snapshots()
        rebuild(used.state, used.tenant, reader.layout, shop.places.log, until_seq=between.first - 1)
        last_seq = used.state.mark(used.tenant, module).last_seq
        path = LivePath(used.state, reader, snapshots, last_seq, used.together)
        report = replay(path, source.stretch(between), notice)
    inputs = [inputs_of(found, asked.contract, reader.layout, source, snapshots) for found in report.examples]
    return Found(report, inputs, used.words)
