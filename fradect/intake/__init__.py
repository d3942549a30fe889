"""Raw rows into canonical events: pure, a batch of Arrow columns at a time."""

from fradect.intake.batch import PLACE, ROWS_PER_SOURCE, Batch, Intake, Terms, field_type, staged_schema, take_in
from fradect.intake.lookup import IpCountries
from fradect.intake.rejects import Reject
from fradect.intake.times import MOMENT

__all__ = [
    "MOMENT",
    "PLACE",
    "ROWS_PER_SOURCE",
    "Batch",
    "Intake",
    "IpCountries",
    "Reject",
    "Terms",
    "field_type",
    "staged_schema",
    "take_in",
]
