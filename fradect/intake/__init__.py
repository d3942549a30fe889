"""Raw rows into canonical events: pure, a batch of Arrow columns at a time."""

from fradect.intake.batch import PLACE, ROWS_PER_SOURCE, Batch, Intake, Terms, field_type, staged_schema, take_in
from fradect.intake.lookup import NOT_IN_ANY_RANGE, IpRanges, Whereabouts, fillers
from fradect.intake.rejects import Reject
from fradect.intake.times import MOMENT

__all__ = [
    "MOMENT",
    "NOT_IN_ANY_RANGE",
    "PLACE",
    "ROWS_PER_SOURCE",
    "Batch",
    "Intake",
    "IpRanges",
    "Reject",
    "Terms",
    "Whereabouts",
    "field_type",
    "fillers",
    "staged_schema",
    "take_in",
]
