"""What a promotion reads of the service: pairs of a trial, and what its decisions turned out to be."""

import getpass
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from flows.evidence import Candidate, recall
from flows.wiring import Workshop
from fradect.adapters.pairs_sql import SqlPairs, Trial
from fradect.adapters.shared_sql import open_shared
from fradect.adapters.told_labels import told_fraud
from fradect.errors import NotFound
from fradect.pairs import PairColumns
from fradect.policy import Stages
from fradect.rollout import Rollout
from fradect.types import DAY
from training.dataset import SplitPlan


@dataclass(frozen=True, slots=True)
class Observed:
    """`pages` of pairs, oldest first; `told`: decisions that somebody told the outcome of, and whether it was fraud."""

    pages: Iterator[PairColumns]
    told: Mapping[str, bool]


@contextmanager
def observed(shop: Workshop, now: Rollout) -> Iterator[Observed]:
    """All since the trial of the present challenger began. Unavailable where a database does not answer."""
    module, url = shop.module.name, shop.settings.ledger_url
    trial = Trial(shop.tenant, module, now.challenger or "", now.release, now.begun_at)
    engine = open_shared(url)
    try:
        yield Observed(SqlPairs(engine).pages(trial), told_fraud(url, shop.tenant, module, now.begun_at))
    finally:
        engine.dispose()


def label_delay(shop: Workshop, champion: str, stages: Stages) -> int:
    """Microseconds until a decision's label has come: as the policy says, or as the champion's training found."""
    if stages.label_days is not None:
        return int(stages.label_days * DAY)
    try:
        boundaries = recall(shop.evidence(champion), Candidate).training.boundaries
    except NotFound:
        return SplitPlan().delay
    return boundaries.fit_at - boundaries.train_end


def who() -> str:
    """Whose command this is, as the operating system has it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"user {os.getuid()}"
