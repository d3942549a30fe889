"""Live traffic against the training reference: which columns drifted, by how much, and how much money it touches."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fradect.errors import InvalidInput
from fradect.features.contract import Contract, Feature, Kind
from fradect.features.request import formula
from fradect.types import DAY, Action
from monitoring.bins import Binned, Floats, bin_feature, bin_numbers, bin_words
from monitoring.psi import chance_limit, stability_index
from monitoring.verdict import Answer, ColumnDrift, DriftSettings, DriftVerdict, reason_of

PREDICTIONS = ("probability", "score", "action")
"""Columns of either sample that hold what was predicted and done."""

AMOUNTS = ("amount_base", "amount")
"""Columns that hold money in minor units of the base currency, the first that both samples have."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Columns of both samples in bins, and amounts by row where both samples have them."""

    features: tuple[Binned, ...]
    predictions: tuple[Binned, ...]
    amounts: tuple[Floats, Floats] | None
    not_compared: Mapping[str, str]

    @property
    def columns(self) -> tuple[Binned, ...]:
        return (*self.features, *self.predictions)


def compare(reference: pd.DataFrame, current: pd.DataFrame, contract: Contract, settings: DriftSettings) -> Comparison:
    """Both samples in bins; what cannot be compared is named with its reason."""
    absent = [name for name in contract.names if name not in reference]
    if absent:
        raise InvalidInput(f"drift: the reference lacks {', '.join(absent)}: it is not of contract {contract.name}")
    skipped = _skipped(reference, current, contract, settings)
    features = tuple(
        bin_feature(feature, _floats(reference, feature.name), _floats(current, feature.name))
        for feature in contract
        if feature.name not in skipped
    )
    predictions = tuple(_predictions(reference, current))
    return Comparison(features, predictions, _amounts(reference, current), skipped)


def judge(comparison: Comparison, settings: DriftSettings) -> DriftVerdict:
    """Drift, when any column is further away than a moderate shift and chance together explain."""
    level = settings.false_alarms / len(comparison.columns)
    judged = [
        *(_judge(binned, "feature", comparison, level, settings) for binned in comparison.features),
        *(_judge(binned, "prediction", comparison, level, settings) for binned in comparison.predictions),
    ]
    columns = tuple(sorted(judged, key=lambda column: -column.value / column.threshold))
    drifted = [column for column in columns if column.drifted]
    of_features = sum(column.kind == "feature" for column in drifted) / max(len(comparison.features), 1)
    moved = [column.money_moved for column in drifted if column.money_moved is not None]
    return DriftVerdict(
        answer=Answer.DRIFT if drifted else Answer.NO_DRIFT,
        reason=reason_of(columns),
        rows_reference=comparison.columns[0].reference.size,
        rows_current=comparison.columns[0].current.size,
        share_drifted=of_features,
        money_affected=None if comparison.amounts is None else max(moved, default=0.0),
        columns=columns,
        not_compared=comparison.not_compared,
        settings=settings,
    )


def thin(frame: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most so many rows, at even distances, so that all of the time they cover is in."""
    return frame.iloc[:: max(1, -(-len(frame) // most))]


def _judge(binned: Binned, kind: str, comparison: Comparison, level: float, settings: DriftSettings) -> ColumnDrift:
    then, now = binned.counts
    value = float(stability_index(then, now))
    chance = chance_limit(tuple(then.tolist()), binned.current.size, level, settings.seed)
    threshold = settings.moderate + chance
    moved = None if comparison.amounts is None else _money_moved(binned, comparison.amounts)
    return ColumnDrift(binned.name, kind, value, threshold, value >= threshold, *binned.missing, moved)


def _money_moved(binned: Binned, amounts: tuple[Floats, Floats]) -> float:
    """Total variation distance of money by bin."""
    size = len(binned.labels)
    then, now = (
        np.bincount(codes, weights, minlength=size)
        for codes, weights in zip((binned.reference, binned.current), amounts, strict=True)
    )
    if not then.sum() or not now.sum():
        return 0.0
    return float(np.maximum(now / now.sum() - then / then.sum(), 0.0).sum())


def _skipped(
    reference: pd.DataFrame, current: pd.DataFrame, contract: Contract, settings: DriftSettings
) -> dict[str, str]:
    """What is left out, and why: in an hour of traffic the hour of the day has drifted by nature."""
    skipped = {}
    if _days(current) < settings.clock_days:
        reason = f"tells the time only, and the traffic covers less than {settings.clock_days:g} days"
        skipped = {feature.name: reason for feature in contract if _is_clock(feature)}
    for name in PREDICTIONS:
        if (name in reference) != (name in current):
            skipped[name] = f"only the {'reference' if name in reference else 'traffic'} has it"
    return skipped


def _is_clock(feature: Feature) -> bool:
    """Read off the event's time alone."""
    return feature.kind is Kind.REQUEST and not formula(feature).reads


def _days(frame: pd.DataFrame) -> float:
    """The time that the events span; 0 where it is not given."""
    if "event_time" not in frame or frame.empty:
        return 0.0
    times = frame["event_time"]
    micros = (
        times if pd.api.types.is_integer_dtype(times.dtype) else times.astype("datetime64[us, UTC]").astype("int64")
    )
    return float(micros.max() - micros.min()) / DAY


def _predictions(reference: pd.DataFrame, current: pd.DataFrame) -> Iterator[Binned]:
    for name in PREDICTIONS:
        if name not in reference or name not in current:
            continue
        if name == "action":
            yield bin_words(name, _actions(reference), _actions(current))
        else:
            yield bin_numbers(name, _floats(reference, name), _floats(current, name))


def _actions(frame: pd.DataFrame) -> list[str]:
    """By name, whether they are given as names or as numbers."""
    names = {action.value: action.name for action in Action}
    return [names.get(action, str(action)) for action in frame["action"]]


def _amounts(reference: pd.DataFrame, current: pd.DataFrame) -> tuple[Floats, Floats] | None:
    for name in AMOUNTS:
        if name in reference and name in current:
            return np.nan_to_num(_floats(reference, name)), np.nan_to_num(_floats(current, name))
    return None


def _floats(frame: pd.DataFrame, name: str) -> Floats:
    """A column as float64, NaN where missing; a column that is absent is missing in every row."""
    if name not in frame:
        return np.full(len(frame), np.nan)
    return frame[name].to_numpy(np.float64, na_value=np.nan)
