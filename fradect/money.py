"""Money as int64 minor units: exact from decimals, text and integers; from floats, what their 15 digits say."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Rounded
from fractions import Fraction
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from fradect.faults import Fault, Reason
from fradect.types import DAY

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# ISO 4217, every active code by the decimals of its minor unit; and ANG and BGN, which ended in 2025.
_BY_EXPONENT = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD
          CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD
          GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA
          MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR
          RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD
          TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG""",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
EXPONENTS: Mapping[str, int] = MappingProxyType(
    {code: exponent for exponent, codes in _BY_EXPONENT.items() for code in codes.split()}
)

# Below 2**53, so that a minor amount is exact in a float too, and 15 digits, which a double always keeps.
MAX_MINOR = 10**15 - 1
_EXACT = Context(prec=60, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[Rounded])

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)


def exponent_of(currency: str) -> int:
    """Decimals of the currency's minor unit; a code that ISO 4217 does not list is a Fault."""
    if currency not in EXPONENTS:
        raise Fault(Reason.CURRENCY, "use an ISO 4217 code such as EUR")
    return EXPONENTS[currency]


def decimal_of(value: Decimal | int | float | str) -> Decimal:
    """The exact number meant: of a float, its first 15 digits (a double keeps no more, what follows is the dust of
    arithmetic: 17.13 * 5 is 85.64999999999999); of text, a plain number."""
    if isinstance(value, bool):
        raise Fault(Reason.NUMBER, "give a number")
    if isinstance(value, str):
        text = value.strip()
        if _NOT_FINITE.fullmatch(text):
            raise Fault(Reason.NOT_FINITE, "give a finite number")
        if not _NUMBER.fullmatch(text):
            raise Fault(Reason.NUMBER, "write digits and at most one decimal point")
        return Decimal(text)
    number = Decimal(f"{value:.15g}") if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        raise Fault(Reason.NOT_FINITE, "give a finite number")
    return number


def to_minor(amount: Decimal | int | float | str, exponent: int) -> int:
    """An amount in major units as minor units, exactly. Decimals beyond the exponent are refused, not rounded."""
    number = decimal_of(amount)
    if number < 0:
        raise Fault(Reason.NEGATIVE, "refunds are outcomes, not amounts below zero")
    if number and number.adjusted() > 20:
        raise Fault(Reason.TOO_LARGE, f"the limit is {MAX_MINOR} minor units")
    try:
        scaled = _EXACT.scaleb(number, exponent)
    except Rounded:
        raise Fault(Reason.DECIMALS, "write no more digits than the amount needs") from None
    minor = int(scaled)
    if minor != scaled:
        raise Fault(Reason.DECIMALS, f"round to {exponent} decimals where the amount is made")
    if minor > MAX_MINOR:
        raise Fault(Reason.TOO_LARGE, f"the limit is {MAX_MINOR} minor units")
    return minor


def minor_of_floats(amounts: Floats, exponents: Ints, digits: int) -> tuple[Ints, Flags]:
    """Minor units of float amounts, and where they are sure; where not, `to_minor` has the word.

    `digits` is what the float keeps: 15 for a double, 6 for a single. Within them no two amounts read as one float,
    so the nearest is the one. A double one step beside it differs after the 15th digit only.
    """
    factors = 10.0**exponents
    with np.errstate(invalid="ignore", over="ignore"):
        guess = np.rint(amounts * factors)
        plausible = (guess >= 0) & (guess < 10.0**digits)
        guess = np.where(plausible, guess, 0.0)
        if digits < 15:
            sure = plausible & ((guess / factors).astype(np.float32) == amounts)
        else:
            sure = plausible & (np.abs(guess / factors - amounts) <= 3e-16 * amounts)
    return guess.astype(np.int64), sure


def minor_of_scaled(unscaled: Ints, scale: int, exponents: Ints) -> tuple[Ints, Flags]:
    """Minor units of `unscaled / 10**scale`, and where they are sure; where not, `to_minor` has the word."""
    up = np.clip(exponents - scale, 0, 18)
    down = 10 ** np.clip(scale - exponents, 0, 18)
    limit = MAX_MINOR // 10**up
    whole = unscaled // down
    sure = (unscaled >= 0) & (whole * down == unscaled) & (whole <= limit) & (abs(exponents - scale) <= 18)
    return np.where(sure, whole, 0) * 10**up, sure


@dataclass(frozen=True, slots=True)
class Rates:
    """What one unit of a currency was worth in another, each rate from its day (UTC) on."""

    days: tuple[date, ...]
    values: tuple[Decimal, ...]

    @classmethod
    def of(cls, pairs: Sequence[tuple[date, Decimal]]) -> "Rates":
        ordered = sorted(pairs)
        return cls(tuple(day for day, _ in ordered), tuple(value for _, value in ordered))

    @property
    def starts(self) -> Ints:
        """Microseconds from which each rate holds."""
        epoch = date(1970, 1, 1).toordinal()
        return np.array([(day.toordinal() - epoch) * DAY for day in self.days], np.int64)


def to_base(minor: int, rate: Decimal, exponent: int, base_exponent: int) -> int:
    """Minor units of the base currency at `rate`, rounded half to even."""
    top, bottom = _fraction(rate, exponent, base_exponent)
    whole, rest = divmod(minor * top, bottom)
    base = whole + (2 * rest > bottom or (2 * rest == bottom and whole % 2 == 1))
    if base > MAX_MINOR:
        raise Fault(Reason.TOO_LARGE, f"the limit is {MAX_MINOR} minor units of the base currency")
    return base


def base_of_minors(minor: Ints, rate: Decimal, exponent: int, base_exponent: int) -> tuple[Ints, Flags]:
    """`to_base` of many, and where it is sure; where not (the product leaves int64), `to_base` has the word."""
    top, bottom = _fraction(rate, exponent, base_exponent)
    sure = minor <= min((2**62 - 1) // top, MAX_MINOR)
    if bottom >= 2**61:
        return np.zeros_like(minor), np.zeros(len(minor), np.bool_)
    whole, rest = np.divmod(np.where(sure, minor, 0) * min(top, 2**62), bottom)
    base = whole + ((2 * rest > bottom) | ((2 * rest == bottom) & (whole % 2 == 1)))
    return base, sure & (base <= MAX_MINOR)


def _fraction(rate: Decimal, exponent: int, base_exponent: int) -> tuple[int, int]:
    exact = Fraction(rate) * Fraction(10**base_exponent, 10**exponent)
    return exact.numerator, exact.denominator
