"""Numbers of payment cards, found in any text so that none is ever stored.

In texts every number that passes the Luhn check counts, which is one in ten. Ids are long numbers by trade: in them
only those count that begin as a card of some scheme does and are as long as that scheme's are. Figures of both are in
docs/security.md, measured by benchmarks/card_numbers.py.
"""

import re
import unicodedata
from collections.abc import Iterator

# 13 to 19 digits in one or more groups, with spaces or dashes between them.
_RUN = re.compile(r"(?<![0-9])[0-9](?:[ -]{0,3}[0-9]){12,}")
_GAPS = re.compile(r"[ -]+")
_DASHES = re.compile(r"[\u2010-\u2015\u2212]")
# UUIDs and hexadecimal digests have long runs of digits by chance.
_HEXADECIMAL = re.compile(
    r"(?<![0-9a-z])(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|(?=[0-9]*[a-f])(?:[0-9a-f]{128}|[0-9a-f]{96}|[0-9a-f]{64}|[0-9a-f]{56}|[0-9a-f]{40}|[0-9a-f]{32}"
    r"|[0-9a-f]{24}|[0-9a-f]{16}))(?![0-9a-z])",
    re.IGNORECASE,
)
# How numbers of each scheme begin (ISO/IEC 7812, the schemes' own tables), with the lengths that they are issued in.
# Visa's of 13 digits are not: the last ended decades ago, and barcodes look like them.
_ISSUED = re.compile(
    r"4[0-9]{15}(?:[0-9]{3})?"  # Visa
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"  # Mastercard
    r"|220[0-4][0-9]{12,15}"  # Mir
    r"|3[47][0-9]{13}"  # American Express
    r"|(?:30[0-5]|309|36[0-9]|3[89][0-9])[0-9]{11}"  # Diners Club
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12,15}"  # JCB
    r"|(?:6011|64[4-9][0-9]|65[0-9]{2}|62[0-9]{2})[0-9]{12,15}"  # Discover, UnionPay
    r"|(?:60[0-9]{2}|8[12][0-9]{2}|508[0-9]|9792)[0-9]{12}"  # RuPay, Troy
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])[0-9]{9,15}"  # Maestro
)


def holds_card_number(text: str) -> bool:
    """Whether 13 to 19 digits that pass the Luhn check stand in the text, whole groups of digits at a time.

    Numbers of cards never begin with 0. UUIDs and hexadecimal digests do not count.
    """
    return any(digits[0] != "0" and _luhn(digits) for digits in _candidates(text))


def holds_issued_number(text: str) -> bool:
    """Whether one of these begins as a scheme's numbers do, and has as many digits."""
    return any(_ISSUED.fullmatch(digits) and _luhn(digits) for digits in _candidates(text))


def _candidates(text: str) -> Iterator[str]:
    """Whole groups of digits that stand together and are 13 to 19 in all."""
    if not text.isascii():
        text = _DASHES.sub("-", unicodedata.normalize("NFKC", text))
        text = "".join(_plain(letter) for letter in text)
    if not _RUN.search(text):
        return
    for run in _RUN.finditer(_HEXADECIMAL.sub("x", text)):
        groups = _GAPS.split(run.group())
        for start in range(len(groups)):
            digits = ""
            for group in groups[start:]:
                digits += group
                if len(digits) > 19:
                    break
                if len(digits) >= 13:
                    yield digits


def _plain(letter: str) -> str:
    """Digits of any alphabet as 0 to 9, invisible format characters as nothing."""
    if unicodedata.category(letter) == "Cf":
        return ""
    return str(unicodedata.decimal(letter, letter))


def _luhn(digits: str) -> bool:
    odd = sum(map(int, digits[-1::-2]))
    even = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (odd + even) % 10 == 0
