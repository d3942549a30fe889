"""What a decision was made with, as the ledger keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Logged:
    """`values` in the order of the release's contract, NaN where `missing` says why; `seq` is None, and `degraded`
    names the part, where the live state was away. `decided_at`: microseconds."""

    event_id: str
    seq: int | None
    decided_at: int
    values: tuple[float, ...]
    missing: Mapping[str, str]
    degraded: tuple[str, ...]
