"""What was found out about a release, as JSON files beside each other: written by stages, read by screens."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from flows.wiring import leave_bytes
from fradect.errors import NotFound
from fradect.types import HOUR, Verdict
from training.fit import TrainingFacts

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Candidate:
    """How a release came to be, and from which log (its fingerprint). `trained_at`: microseconds.

    `made_from`: the release whose model it has, where only rules or policy were edited.
    """

    release_id: str
    module: str
    tenant: str
    contract: str
    contract_hash: str
    log_fingerprint: str
    trained_at: int
    training: TrainingFacts
    made_from: str | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """Metrics on the test events as (value, low, high); None is undefined, money is minor units.

    `champion`: the release it was compared with on the same events, if there was one.
    """

    release_id: str
    metrics: dict[str, tuple[float | None, float | None, float | None]]
    decisions: dict[str, int]
    test_events: int
    test_fraud: int
    base_currency: str
    champion: str | None = None
    mlflow_run: str | None = None
    mlflow_version: str | None = None


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Every gate's answer, in the order they were asked."""

    release_id: str
    verdicts: list[Verdict]


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a challenger: what its gates said, and what became of it (`move`) for which reason.

    `number`: of the rollout that was looked at, in `stage` on `share`; `at`: microseconds.
    """

    release_id: str
    module: str
    tenant: str
    champion: str
    number: int
    stage: str
    share: int
    at: int
    move: str
    reason: str
    verdicts: list[Verdict]


LOOKS = "looks"
FILES: dict[type, str] = {Candidate: "candidate.json", Measured: "measured.json", Verdicts: "verdicts.json"}


def leave(folder: Path, found: Candidate | Measured | Verdicts) -> None:
    """Write one piece of evidence, whole or not at all."""
    leave_bytes(folder / FILES[type(found)], msgspec.json.format(msgspec.json.encode(asdict(found)), indent=1))


def recall(folder: Path, kind: type[T]) -> T:
    """Read a piece of evidence; NotFound says which stage leaves it."""
    path = folder / FILES[kind]
    if not path.is_file():
        raise NotFound(f"release {folder.name} has no {path.name}: run `fradect train` to make and measure a candidate")
    return msgspec.json.decode(path.read_bytes(), type=kind)


def leave_look(folder: Path, look: Look) -> None:
    """Beside those before it, so that the way of a release can be read. One that says what the last one said is kept
    once an hour: nobody reads a file every ten minutes for weeks."""
    last = last_look(folder)
    if last is None or _gist(last) != _gist(look) or look.at - last.at >= HOUR:
        leave_bytes(folder / LOOKS / f"{look.at:016}.json", msgspec.json.format(msgspec.json.encode(look), indent=1))


def last_look(folder: Path) -> Look | None:
    """None before the first."""
    paths = sorted((folder / LOOKS).glob("*.json"))
    return msgspec.json.decode(paths[-1].read_bytes(), type=Look) if paths else None


def _gist(look: Look) -> tuple[object, ...]:
    return look.number, look.move, [(verdict.gate, verdict.result) for verdict in look.verdicts]
