"""Moments as people write them in options and parameters."""

from datetime import UTC, datetime

from fradect.errors import InvalidInput


def moment(option: str, text: str | None) -> int | None:
    """Microseconds of a day or moment in ISO 8601; without an offset it is UTC."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"--{option} {text!r}: give a moment, 2018-09-01T12:00:00Z", field=option) from error
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return int(at.timestamp()) * 1_000_000 + at.microsecond
