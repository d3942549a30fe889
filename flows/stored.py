"""Stored decisions of a period put through the backtest's own engine, on their stored vectors, and made again."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pyarrow as pa

from flows.decisions import Batch, Reproduced, reproduce
from flows.wiring.deciding import Archive, archive
from fradect.bulk import SAID, decide_many
from fradect.errors import FradectError, NotFound
from fradect.intake.batch import field_type
from fradect.judgement import FACTORS, Loaded, load
from fradect.modules.declaration import Module
from fradect.reproduce import Kept, Wanted

AT_ONCE = 5_000


@dataclass
class Stored:
    """What came of it. `made_again`: byte for byte; `by_columns`: whole decisions that the backtest's engine decided,
    `alike` those whose probability, score and action are the stored ones to the bit. Decisions that were made without
    something are none of these: only the path that made them knows what it lacked."""

    made_again: Reproduced
    by_columns: int = 0
    alike: int = 0

    @property
    def proven(self) -> bool:
        return self.made_again.proven and self.alike == self.by_columns


@dataclass(frozen=True, slots=True)
class Scope:
    """Decisions about a tenant's events of a module, with `since <= event_time < until`."""

    module: str
    tenant: str
    since: int
    until: int


def stored(scope: Scope) -> Stored | None:
    """None where there is no ledger, or nothing in it about these events."""
    try:
        with archive() as where:
            found = Stored(Reproduced())
            found.made_again = reproduce(where, _batches(where, scope, found))
    except NotFound:
        return None
    return found if found.made_again.decisions else None


def _batches(where: Archive, scope: Scope, found: Stored) -> Iterator[Batch]:
    wanted = Wanted(scope.tenant, scope.module)
    for release_id in where.reads.releases(wanted):
        coming = (
            kept
            for kept in where.reads.of_release(wanted, release_id)
            if scope.since <= kept.event.event_time < scope.until
        )
        release = _loaded(where, release_id)
        while some := list(islice(coming, AT_ONCE)):
            if release is not None:
                _compare(release, some, found)
            yield Batch(release_id, len(some), some)


def _loaded(where: Archive, release_id: str) -> Loaded | None:
    try:
        return load(where.releases.load(release_id))
    except FradectError:
        return None  # told of where its decisions are made again


def _compare(release: Loaded, some: list[Kept], found: Stored) -> None:
    width = len(release.contract.names)
    whole = [kept for kept in some if _is_whole(kept, width)]
    if not whole:
        return
    matrix = np.array([kept.decision.vector.values for kept in whole], np.float64)
    past = decide_many(release, _events(release.module, whole), matrix)
    for i, kept in enumerate(whole):
        was = kept.decision
        same = (was.score, was.judged) == (past.score[i], past.action[i])
        found.by_columns += 1
        found.alike += same and was.probability == past.probability[i]


def _is_whole(kept: Kept, width: int) -> bool:
    lacking = [what for what in kept.decision.degraded if what != FACTORS]
    return not lacking and len(kept.decision.vector.values) == width


def _events(module: Module, some: list[Kept]) -> pa.Table:
    """Fields in the log's types, and what lists said of each when it was decided."""
    columns = {
        name: pa.array([kept.event.fields.get(name) for kept in some], field_type(kind))
        for name, kind in module.columns.items()
        if not name.endswith("_cipher")
    }
    said = {
        f"{SAID}{name}": pa.array([kept.decision.signals.get(name) for kept in some], pa.bool_())
        for name in module.signals
    }
    times = pa.array([kept.event.event_time for kept in some], pa.int64())
    return pa.table({"event_time": times, **columns, **said})
