"""What log lines may not show."""

import io
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.masking import guard_logs, masked
from serving.logs import JsonLines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Processing transaction for user@example.com", "Processing transaction for u***@example.com"),
        ("<ivan.petrov@mail.example.ru>, bob@x.example", "<i***@mail.example.ru>, b***@x.example"),
        ("email=ada+shop@example.org;", "email=a***@example.org;"),
        ("paid by 4111 1111 1111 1111.", "paid by ***11."),
        ("4111-1111-1111-1111", "***11"),
        ("call +7 (900) 123-45-67 or 8 900 123 45 67", "call ***67 or ***67"),
        ("+79001234567", "***67"),
    ],
)
def test_nothing_of_a_person_is_left(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize(
    "text",
    ["12 rows at 1700000000000000", "dec_064f0c9d1a2b30123456789 took 12,345 us", "2026-11-23T21:47:15+00:00", "a @ b"],
)
def test_figures_and_ids_are_left_alone(text: str) -> None:
    assert masked(text) == text


@given(st.text("ab@.+7 -(1)4", max_size=200))
def test_masked_again_nothing_more_is_found(text: str) -> None:
    once = masked(text)
    assert masked(once).count("@") == once.count("@") == text.count("@")


@pytest.mark.timeout(5)
@pytest.mark.parametrize(
    "text", ["a@" * 50_000, "1 " * 50_000, "x" * 100_000 + "@", "+1" * 50_000, "+" + "7 " * 50_000]
)
def test_no_text_takes_long(text: str) -> None:
    masked(text)


def test_records_of_every_logger_are_masked_values_and_traces_too() -> None:
    before = logging.getLogRecordFactory()
    stream = io.StringIO()
    handlers = logging.StreamHandler(stream), logging.StreamHandler(stream)
    handlers[1].setFormatter(JsonLines())
    logger = logging.getLogger("somebody.else")
    guard_logs()
    guard_logs()
    try:
        for handler in handlers:
            logger.addHandler(handler)
        logger.warning("for %s at %d%%", "user@example.com", 5)
        try:
            raise ValueError("+79001234567 is no address of user@example.com")
        except ValueError:
            logger.exception("failed for %s", "4111111111111111")
    finally:
        logging.setLogRecordFactory(before)
        for handler in handlers:
            logger.removeHandler(handler)
    lines = stream.getvalue()
    assert "for u***@example.com at 5%" in lines
    assert "Traceback" in lines
    assert not [one for one in ("user@", "9001234567", "4111111111111111") if one in lines]
