"""Decisions looked back at: made again from what the ledger kept of them, and compared byte for byte."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from flows.progress import advance
from flows.progress import stage as announced
from flows.wiring.deciding import Archive, other_engines
from fradect.errors import FradectError
from fradect.judgement import load
from fradect.reproduce import Difference, Kept, Wanted, replay

SHOWN = 3
"""Of the decisions that differ, so many are kept to be shown."""


@dataclass
class Reproduced:
    """What came of it. `gone`: releases that cannot be loaded, with the number of their decisions and why not.

    `erased`: decisions about customers whose personal data no longer opens, made again all the same. `engines`:
    releases that were made with other versions than are here.
    """

    decisions: int = 0
    matched: int = 0
    differing: int = 0
    erased: int = 0
    seconds: float = 0.0
    examples: list[Difference] = field(default_factory=list)
    gone: dict[str, tuple[int, str]] = field(default_factory=dict)
    engines: dict[str, Mapping[str, tuple[str, str]]] = field(default_factory=dict)

    @property
    def proven(self) -> bool:
        """Every one of them came out the same."""
        return self.matched == self.decisions

    @property
    def unread(self) -> int:
        """Decisions whose event is not in the ledger any more."""
        return self.decisions - self.matched - self.differing - sum(count for count, _ in self.gone.values())


@dataclass(frozen=True, slots=True)
class Batch:
    """Decisions of one release, and how many they are."""

    release_id: str
    count: int
    kept: Iterable[Kept]


def reproduce(archive: Archive, batches: Iterable[Batch]) -> Reproduced:
    """Release by release. One that is gone costs its own decisions and no others."""
    found, began = Reproduced(), time.monotonic()
    with announced("replay") as result:
        for batch in batches:
            found.decisions += batch.count
            _batch(archive, batch, found)
        found.seconds = time.monotonic() - began
        result.words = f"{found.matched:,} of {found.decisions:,} the same"
    return found


def everything(archive: Archive, wanted: Wanted) -> Iterator[Batch]:
    for release_id, count in archive.reads.releases(wanted).items():
        yield Batch(release_id, count, archive.reads.of_release(wanted, release_id))


def sample(archive: Archive, wanted: Wanted, most: int) -> Iterator[Batch]:
    """Evenly drawn over the time."""
    for release_id, ids in sorted(archive.reads.sample(wanted, most).items()):
        yield Batch(release_id, len(ids), archive.reads.named(ids))


def one(archive: Archive, decision_id: str) -> Iterator[Batch]:
    kept = archive.reads.kept(decision_id)
    yield Batch(kept.decision.release_id, 1, [kept])


def _batch(archive: Archive, batch: Batch, found: Reproduced) -> None:
    try:
        release = archive.releases.load(batch.release_id)
        loaded = load(release)
    except FradectError as error:
        found.gone[batch.release_id] = (batch.count, str(error))
        return
    others = other_engines(release.engines)
    if others:
        found.engines[batch.release_id] = others
    for done, difference in enumerate(replay(loaded, _watched(archive, batch.kept, found), archive.threads), 1):
        if difference is None:
            found.matched += 1
        else:
            found.differing += 1
            found.examples += [difference] if len(found.examples) < SHOWN else []
        if done % 500 == 0:
            advance(done, batch.count, batch.release_id)


def _watched(archive: Archive, kept: Iterable[Kept], found: Reproduced) -> Iterator[Kept]:
    for each in kept:
        found.erased += not archive.opens(each.event)
        yield each
