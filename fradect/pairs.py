"""Pairs: what two releases said of one event, of which one decided and the other was asked afterwards."""

import msgspec
import numpy as np
import numpy.typing as npt

from fradect.types import Action

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

UNKNOWN = -1
"""In columns: an action or score that a release did not give."""


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """One release's part. `failed`: why it gave nothing. `took_us`: the judgement's, with factors where it decided and
    they were asked for."""

    action: Action | None = None
    score: int | None = None
    degraded: tuple[str, ...] = ()
    took_us: int = 0
    failed: str = ""


class Pair(msgspec.Struct, frozen=True):
    """One event, while `challenger` was tried on `share` (hundredths of a percent) of the subjects.

    `decision_id` is None where the request failed. `subject`: a keyed hash of who is drawn, the same for the same one.
    `amount` is in minor units of the base currency, `decided_at` in microseconds since the epoch, `request_us` what the
    whole request took.
    """

    tenant_id: str
    module: str
    challenger: str
    champion: str
    share: int
    decision_id: str | None
    decided_at: int
    subject: int
    amount: int
    by_challenger: bool
    request_us: int
    theirs: Said
    ours: Said


class PairColumns(msgspec.Struct, frozen=True):
    """n pairs of one challenger by columns, in the order in which they were decided; see Pair.

    `theirs_` is the champion's, `ours_` the challenger's part; actions and scores are UNKNOWN where none was given.
    """

    decision_id: tuple[str | None, ...]
    decided_at: Ints
    share: Ints
    subject: Ints
    amount: Ints
    by_challenger: Flags
    request_us: Ints
    theirs_action: Ints
    theirs_score: Ints
    theirs_degraded: Flags
    theirs_failed: Flags
    theirs_us: Ints
    ours_action: Ints
    ours_score: Ints
    ours_degraded: Flags
    ours_failed: Flags
    ours_us: Ints

    def __len__(self) -> int:
        return len(self.decision_id)
