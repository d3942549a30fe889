"""Why a value is refused. One vocabulary for imported rows, which go to quarantine, and for requests."""

from enum import StrEnum

from fradect.errors import InvalidInput


class Reason(StrEnum):
    """What is wrong, in words that group well. The order is part of no interface."""

    UNMAPPED = "column not mapped"
    ABSENT = "column missing from the file"
    BROKEN_FILE = "broken file"
    MISFIT = "wrong number of columns"
    MISSING = "required value missing"
    DUPLICATE = "duplicate id"
    ENCODING = "invalid text encoding"
    CONTROL = "control character"
    TOO_LONG = "text too long"
    CARD = "card number"
    CURRENCY = "unknown currency"
    NO_RATE = "no exchange rate"
    COUNTRY = "unknown country"
    IP = "not an IP address"
    DOMAIN = "not a domain"
    NEGATIVE = "negative amount"
    NOT_FINITE = "number not finite"
    DECIMALS = "more decimals than the currency has"
    TOO_LARGE = "amount too large"
    NUMBER = "not a number"
    TIME = "not a time"
    FUTURE = "time in the future"
    TOO_EARLY = "time before 1970"
    LABEL = "label neither true nor false"
    KNOWN_EARLY = "known before it happened"
    NOT_JSON = "not a JSON object"
    KIND = "unknown outcome"
    NO_DECISION = "no such decision"
    OTHERWISE = "outcome known otherwise"
    FAILED = "could not be handled"


class Fault(InvalidInput):
    """One value is refused. The message never repeats the value: it may be personal or a card number."""

    def __init__(self, reason: Reason, remedy: str, field: str | None = None) -> None:
        where = f"{field}: " if field else ""
        super().__init__(f"{where}{reason}; {remedy}", field=field)
        self.reason = reason
        self.remedy = remedy

    def at(self, field: str) -> "Fault":
        """The same fault with the field it was found in."""
        return Fault(self.reason, self.remedy, field)
