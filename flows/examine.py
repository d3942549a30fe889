"""What a candidate learnt from, looked at beside what the champion had: the figures that the gate on data judges."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from flows.evidence import Candidate, Verdicts, recall
from flows.wiring import Workshop
from fradect.errors import NotFound
from fradect.features.contract import Contract
from training.data_quality import DataFacts, Taught, Then, data_facts
from training.dataset import Dataset

REFERENCE = "reference.parquet"
MOST = 20_000


@dataclass(frozen=True, slots=True)
class Examined:
    """A candidate's test events with its probability for each, among everything."""

    candidate: Candidate
    everything: Dataset
    test: Dataset
    probability: npt.NDArray[np.float64]


def examine(shop: Workshop, contract: Contract, examined: Examined) -> DataFacts:
    """Beside the champion's own data, where there is a champion and something is known of it."""
    everything, at = examined.everything, examined.candidate.training.boundaries
    learnt = everything.labelled & (everything.time < at.train_end) & (everything.known_at <= at.fit_at)
    train = everything.rows(np.flatnonzero(learnt))
    then, until, reference = _then(shop, contract)
    recent = np.flatnonzero(everything.time >= at.fit_at)
    taught = Taught(
        train=train,
        test=examined.test,
        probability=examined.probability,
        news=np.concatenate([train.time, examined.test.time]) >= until,
        recent=everything.matrix[recent[:: max(1, recent.size // MOST)]],
        reference=reference,
    )
    return data_facts(taught, contract, then)


def _then(shop: Workshop, contract: Contract) -> tuple[Then, int, dict[str, npt.NDArray[np.float64]]]:
    """The champion's data, when it ended (microseconds), and a sample of it by feature."""
    champion = shop.releases.champion(shop.module.name, shop.tenant)
    if champion is None:
        return Then(0, 0), 0, {}
    folder = shop.evidence(champion)
    try:
        made = recall(folder, Candidate).training
    except NotFound:
        return Then(0, 0), 0, {}
    known = _known(folder)
    events, frauds = sum(made.events.values()), sum(made.frauds.values())
    then = Then(events, frauds)
    if known is not None:
        then = Then(events, frauds, known.strays, known.strays_of, known.giveaway)
    return then, made.boundaries.end, _sample(folder / REFERENCE, contract)


def _known(folder: Path) -> DataFacts | None:
    """None for a champion from before there was a gate on data."""
    try:
        verdicts = recall(folder, Verdicts).verdicts
    except NotFound:
        return None
    found = next((verdict for verdict in verdicts if verdict.gate == "data"), None)
    return None if found is None else msgspec.convert(dict(found.evidence), DataFacts)


def _sample(path: Path, contract: Contract) -> dict[str, npt.NDArray[np.float64]]:
    if not path.is_file():
        return {}
    names = [name for name in pq.read_schema(path).names if name in contract.names]
    table = pq.read_table(path, columns=names)
    return {name: table[name].to_numpy() for name in names}
