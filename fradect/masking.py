"""What a log line may not show: e-mail addresses, telephone and card numbers, masked wherever they stand."""

import logging
import re
from typing import Any

_LOCAL = re.compile(r"[^\s\"'<>(),;:=/\\]+")
_DOMAIN = re.compile(r"(?:[\w-]{1,63}\.){1,8}\w{2,63}")
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")
_PHONE = re.compile(
    r"(?<![\w.])\+\d[\d ()-]{7,20}\d|(?<![\w.-])[78][ (-]{1,2}\d{3}[ )-]{1,2}\d{3}[ -]?\d{2}[ -]?\d{2}(?!\w)"
)
_MAYBE = re.compile(r"@|\+\d|\d[ ()-]?\d{2}")


def masked(text: str) -> str:
    """The same with every address, number of a telephone and number of a card made unreadable."""
    if not _MAYBE.search(text):
        return text
    return _PHONE.sub(_tail, _CARD.sub(_card, _without_addresses(text)))


def _without_addresses(text: str) -> str:
    """u***@example.com. From one @ to the next, so that no text takes long."""
    first, *rest = text.split("@")
    shown = [first]
    for part in rest:
        local = _LOCAL.match(shown[-1][::-1])
        if local is not None and _DOMAIN.match(part):
            before = shown[-1][: len(shown[-1]) - len(local.group())]
            shown[-1] = f"{before}{local.group()[-1]}***"
        shown.append(part)
    return "@".join(shown)


def _card(match: re.Match[str]) -> str:
    """Times and numbers of rows are long too: what passes the check of cards is taken for one."""
    digits = [int(digit) for digit in match.group() if digit.isdecimal()][::-1]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return match.group() if (sum(digits[::2]) + sum(doubled)) % 10 else _tail(match)


def _tail(match: re.Match[str]) -> str:
    """Two digits are left to tell two apart."""
    return f"***{match.group()[-2:]}"


def guard_logs() -> None:
    """Every record of every logger of this process, whoever writes it, is masked as it is made; once is enough."""
    make = logging.getLogRecordFactory()
    if getattr(make, "masks", False):
        return

    def made(*args: Any, **kwargs: Any) -> logging.LogRecord:
        return _masked(make(*args, **kwargs))

    made.masks = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(made)


def _masked(record: logging.LogRecord) -> logging.LogRecord:
    try:
        text = record.getMessage()
    except (TypeError, ValueError, KeyError):  # a message that does not fit its values is told by its handler
        text = f"{record.msg} {record.args}"
    record.msg, record.args = masked(text), None
    if record.exc_info and record.exc_info[0] is not None:
        record.exc_text = masked(_FORMAT.formatException(record.exc_info))
    return record


_FORMAT = logging.Formatter()
