"""What makes a raw value canonical, one value at a time. Imports and requests obey the same functions.

Each returns the canonical value or raises a Fault. `fradect.columns` does the same to whole columns, faster.
"""

import ipaddress
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache, partial
from typing import NamedTuple
from zoneinfo import ZoneInfo

from fradect.cards import holds_card_number, holds_issued_number
from fradect.faults import Fault, Reason
from fradect.modules.declaration import Field, FieldType
from fradect.money import decimal_of, exponent_of
from fradect.types import MINUTE

MAX_TEXT = 1024
SKEW = 5 * MINUTE  # a clock may be ahead by this much before its time counts as in the future
UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": None}

# ISO 3166-1 alpha-2, and XK, which everybody uses for Kosovo.
_COUNTRIES = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY
BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM
FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT
JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN
MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT
PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL
TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW XK"""
COUNTRIES = frozenset(_COUNTRIES.split())

# Nothing to normalise and too few digits for a card number, as in most texts.
_PLAIN = re.compile(r"(?! )[ -/:-~]*+(?:[0-9][ -/:-~]*+){0,12}+(?<! )")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DIGITS = re.compile(r"\D+")
_E164 = re.compile(r"\+[\d ()-]*")

_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_BYTE}(?:\.{_BYTE}){{3}}")

_DOMAIN = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LONGEST_DOMAIN = 253

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Notation(NamedTuple):
    """How a source writes text: what stands for nothing, and the decimal sign."""

    nulls: tuple[str, ...] = ()
    decimal: str = "."


class Clock(NamedTuple):
    """How a source writes times: the zone of those without one, a strptime format, the unit of bare numbers."""

    zone: ZoneInfo
    format: str | None = None
    unit: str | None = None


def clean(field: Field, value: str) -> str:
    """Text of a field of a textual type, as it is stored; blank text comes back empty, which means missing."""
    return law_of(field)(value)


def law_of(field: Field) -> Callable[[str], str]:
    """`clean` for this field, for who has many values of it."""
    plain = clean_text
    if field.name in PHONES or field.name in IDS:
        plain = partial(clean_text, is_phone=field.name in PHONES, is_id=field.name in IDS)
    law = _LAWS.get(field.type)
    if law is None:
        return plain

    def canonical(value: str) -> str:
        text = plain(value)
        return law(text) if text else text

    return canonical


def clean_text(value: str, *, is_phone: bool = False, is_id: bool = False, may_be_number: bool = False) -> str:
    """NFC without outer spaces. Refused: lone surrogates, control characters, card numbers, text without end.

    A phone number written as `+` and at most 15 digits is not taken for a card number, of an id only what an issuer
    could have given out; with `may_be_number` nothing is.
    """
    if len(value) <= MAX_TEXT and _PLAIN.fullmatch(value):
        return value
    text = _normal(value)
    if len(text) > MAX_TEXT:
        raise Fault(Reason.TOO_LONG, f"the limit is {MAX_TEXT} characters")
    if may_be_number or (is_phone and _is_e164(text)):
        return text
    if holds_issued_number(text) if is_id else holds_card_number(text):
        raise Fault(Reason.CARD, "send a token or an id of your own; numbers of cards are never stored")
    return text


def _normal(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Fault(Reason.ENCODING, "send valid UTF-8") from None
    if _CONTROL.search(value):
        raise Fault(Reason.CONTROL, "remove NUL, tabs and line breaks")
    return unicodedata.normalize("NFC", value).strip()


def clean_currency(text: str) -> str:
    code = text.upper()
    exponent_of(code)
    return code


def clean_country(text: str) -> str:
    if text.upper() not in COUNTRIES:
        raise Fault(Reason.COUNTRY, "use ISO 3166 alpha-2, such as DE")
    return text.upper()


def clean_ip(text: str) -> str:
    """The shortest spelling of an IPv4 or IPv6 address."""
    if _IPV4.fullmatch(text):
        return text
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise Fault(Reason.IP, "write it like 192.0.2.1 or 2001:db8::1") from None


@lru_cache(maxsize=1024)
def clean_domain(text: str) -> str:
    """Small letters, names of other alphabets as they are looked up (xn--...), no dot at the end."""
    domain = text.lower().removesuffix(".")
    try:
        if not domain.isascii():
            domain = domain.encode("idna").decode().lower()
    except UnicodeError:
        domain = ""
    if len(domain) > _LONGEST_DOMAIN or not _DOMAIN.fullmatch(domain):
        raise Fault(Reason.DOMAIN, "write what stands after the @, such as example.org")
    return domain


def domain_of(email: str) -> str | None:
    """The domain of an e-mail address; None where it has none that could be looked up."""
    try:
        return clean_domain(email.strip().rpartition("@")[2])
    except Fault:
        return None


def ip_of_number(value: str | int | float | Decimal) -> str:
    """An IPv4 address that was written as a number; a fraction, which spreadsheets add, is cut off."""
    try:
        return str(ipaddress.IPv4Address(int(decimal_of(value))))
    except (Fault, ipaddress.AddressValueError):
        raise Fault(Reason.IP, "give a whole number below 2**32") from None


def clean_number(value: str | int | float | Decimal) -> float:
    number = value if isinstance(value, float) else float(decimal_of(value))
    if not math.isfinite(number):
        raise Fault(Reason.NOT_FINITE, "give a finite number")
    return number


def clean_label(value: str | bool | int | float) -> bool:
    """True or false as bool, 0 or 1, or in words; a Fault for anything else."""
    word = value.strip().lower() if isinstance(value, str) else value
    if word in (True, "1", "true", "t", "yes", "y"):
        return True
    if word in (False, "0", "false", "f", "no", "n"):
        return False
    raise Fault(Reason.LABEL, "use 0 and 1, or true and false")


def to_micros(value: str | int | float | date, clock: Clock) -> int:
    """Microseconds since 1970 UTC. A local time that happened twice is the first; one that never was, a Fault."""
    moment: date
    if isinstance(value, str):
        moment = _parse(value, clock.format)
    elif isinstance(value, bool):
        raise Fault(Reason.TIME, "give a time")
    elif isinstance(value, int | float):
        return _from_number(value, clock.unit)
    else:
        moment = value
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001  its zone comes next
    try:
        aware = _localised(moment, clock.zone) if moment.tzinfo is None else moment
        return (aware - _EPOCH) // _MICROSECOND
    except OverflowError:
        raise Fault(Reason.TIME, "give a year from 1970 to 9998") from None


def check_time(micros: int, now: int) -> int:
    """Refuse a time before 1970, or more than five minutes after `now`."""
    if micros < 0:
        raise Fault(Reason.TOO_EARLY, "check the unit and the format")
    if micros > now + SKEW:
        raise Fault(Reason.FUTURE, "check the clock, the zone and the unit")
    return micros


def personal_key(field: str, text: str) -> str:
    """What two spellings of the same personal value have in common; tokens are made of it."""
    if field in PHONES:
        return _DIGITS.sub("", unicodedata.normalize("NFKC", text))
    return " ".join(unicodedata.normalize("NFKC", text).split()).casefold()


def mask(value: object) -> str:
    """The shape of a value for a person who looks for a mistake: letters become x, digits 9; at most 40 signs."""
    shape = []
    for letter in str(value)[:40]:
        kind = unicodedata.category(letter)[0]
        shape.append("x" if kind == "L" else "9" if kind == "N" else letter if letter in " .,:;+-/@_" else "?")
    return "".join(shape)


def _is_e164(text: str) -> bool:
    return _E164.fullmatch(text) is not None and len(_DIGITS.sub("", text)) <= 15


def _from_number(value: int | float, unit: str | None) -> int:
    if unit is None:
        raise Fault(Reason.TIME, "name the unit of bare numbers: s, ms, us or ns")
    if not abs(value) < 2**63:
        raise Fault(Reason.TIME, "give a finite number, and check the unit")
    exact = Fraction(repr(value)) if isinstance(value, float) else Fraction(value)
    micros = math.floor(exact * Fraction(UNITS[unit] or Fraction(1, 1000)))
    if abs(micros) > 2**62:
        raise Fault(Reason.TIME, "check the unit")
    return micros


def _parse(text: str, form: str | None) -> datetime:
    try:
        if form is not None:
            return datetime.strptime(text.strip(), form)  # noqa: DTZ007  a zone is added by the caller
        return datetime.fromisoformat(text.strip())
    except ValueError:
        raise Fault(Reason.TIME, f"write it like {form or '2026-01-31T12:00:00Z'}") from None


def _localised(moment: datetime, zone: ZoneInfo) -> datetime:
    aware = moment.replace(tzinfo=zone).astimezone(UTC)
    if aware.astimezone(zone).replace(tzinfo=None) != moment:
        raise Fault(Reason.TIME, f"clocks in {zone.key} never showed it")
    return aware


PHONES = frozenset({"phone"})
IDS = frozenset({"customer_id", "merchant_id", "device_id"})  # a caller's own, and as long a number as the caller likes
_LAWS: Mapping[FieldType, Callable[[str], str]] = {
    FieldType.CURRENCY: clean_currency,
    FieldType.COUNTRY: clean_country,
    FieldType.IP: clean_ip,
    FieldType.DOMAIN: clean_domain,
}
