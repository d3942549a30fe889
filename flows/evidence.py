"""What was found out about a release, as JSON files beside each other: written by stages, read by screens."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from fradect.adapters.places import publishing
from fradect.errors import NotFound
from fradect.types import Verdict

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Candidate:
    """How a release came to be. Times in microseconds; `rows` by part of the split."""

    release_id: str
    module: str
    tenant: str
    contract: str
    contract_hash: str
    log_fingerprint: str
    trained_at: int
    seed: int
    trials: int
    params: dict[str, Any]
    best_iteration: int
    rows: dict[str, int]
    boundaries: dict[str, int]


@dataclass(frozen=True, slots=True)
class Measured:
    """Metrics on the test events as (value, low, high), and the base currency of the money among them."""

    release_id: str
    metrics: dict[str, tuple[float, float, float]]
    test_events: int
    test_fraud: int
    base_currency: str
    mlflow_run: str | None = None
    mlflow_version: str | None = None


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Every gate's answer, in the order they were asked."""

    release_id: str
    verdicts: list[Verdict]


FILES: dict[type, str] = {Candidate: "candidate.json", Measured: "measured.json", Verdicts: "verdicts.json"}


def leave(folder: Path, found: Candidate | Measured | Verdicts) -> None:
    """Write one piece of evidence, whole or not at all."""
    with publishing(folder / FILES[type(found)]) as staging:
        staging.write_bytes(msgspec.json.format(msgspec.json.encode(asdict(found)), indent=1))


def recall(folder: Path, kind: type[T]) -> T:
    """Read a piece of evidence; NotFound says which stage leaves it."""
    path = folder / FILES[kind]
    if not path.is_file():
        raise NotFound(f"release {folder.name} has no {path.name}: run `fradect train` to make and measure a candidate")
    return msgspec.json.decode(path.read_bytes(), type=kind)
