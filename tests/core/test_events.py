"""Single values made canonical: what passes, what is refused and why, and what nobody may read afterwards."""

import unicodedata
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from ipaddress import AddressValueError, IPv4Address
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.cards import holds_card_number
from fradect.events import (
    MAX_TEXT,
    SKEW,
    Clock,
    check_time,
    clean,
    clean_domain,
    clean_ip,
    clean_label,
    clean_number,
    clean_text,
    domain_of,
    ip_of_number,
    mask,
    personal_key,
    to_micros,
)
from fradect.faults import Fault, Reason
from fradect.modules import module_of

UTC_CLOCK = Clock(ZoneInfo("UTC"))
CARD = "4111111111111111"
FIELDS = {field.name: field for field in module_of("ecommerce").fields}


def with_check_digit(digits: str) -> str:
    """The digits and the one that makes them pass the Luhn check."""
    total = 0
    for i, digit in enumerate(reversed(digits)):
        double = int(digit) * (2 if i % 2 == 0 else 1)
        total += double if double < 10 else double - 9
    return digits + str(-total % 10)


def reason_of(text: str) -> Reason:
    with pytest.raises(Fault) as caught:
        clean_text(text)
    return caught.value.reason


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Nd"]), max_size=100))
def test_text_is_normalised_and_normalising_again_changes_nothing(text: str) -> None:
    once = clean_text(text)
    assert once == unicodedata.normalize("NFC", text).strip()
    assert clean_text(once) == once


def test_composed_and_decomposed_letters_become_the_same() -> None:
    assert clean_text("e\u0301lan ") == clean_text("\u00e9lan")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a\x00b", Reason.CONTROL),
        ("tab\t", Reason.CONTROL),
        ("line\n", Reason.CONTROL),
        ("\x85", Reason.CONTROL),
        ("\ud800", Reason.ENCODING),
        ("x" * (MAX_TEXT + 1), Reason.TOO_LONG),
    ],
)
def test_text_that_cannot_be_stored_is_refused(text: str, reason: Reason) -> None:
    assert reason_of(text) is reason


@given(
    st.text("123456789", min_size=1, max_size=1),
    st.text("0123456789", min_size=11, max_size=17),
    st.sampled_from(["", " ", "-"]),
    st.sampled_from(["", "card ", "no:", "x", "№ "]),
)
def test_every_number_of_13_to_19_digits_that_passes_luhn_is_a_card(
    first: str, middle: str, gap: str, before: str
) -> None:
    number = with_check_digit(first + middle)
    grouped = gap.join(number[i : i + 4] for i in range(0, len(number), 4))
    assert reason_of(before + grouped) is Reason.CARD
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert clean_text(wrong) == wrong


@given(st.text("0123456789 -.,aZ~!\t\u00e9", max_size=60))
def test_no_card_number_and_no_outer_space_gets_past(text: str) -> None:
    with suppress(Fault):
        once = clean_text(text)
        assert once == once.strip() == unicodedata.normalize("NFC", text).strip()
        assert "\t" not in text
        assert not holds_card_number(once)


@pytest.mark.parametrize(
    "text",
    [
        CARD,
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "3782 822463 10005",
        "pay with 4111 1111 1111 1111 123 please",
        "４１１１１１１１１１１１１１１１",
        "4111\u00a01111\u00a01111\u00a01111",
        "4111\u20131111\u20131111\u20131111",
        "4111\u200b1111\u200b1111\u200b1111",
        "٤١١١١١١١١١١١١١١١",
        "PAN" + CARD,
    ],
)
def test_card_numbers_are_found_in_any_dress(text: str) -> None:
    assert holds_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",
        "411111111111",
        "0000000000000",
        "0004111111111111116",
        "2015-02-24 22:55:01.123456",
        "411111111111111111111111",
        "a1b2c3d4-4111-1111-1111-111111111111",
        "f4111111111111111a4111111111111a",
        "",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert not holds_card_number(text)


def test_a_phone_number_in_international_form_is_no_card() -> None:
    phone = "+" + with_check_digit("7912345678901")
    assert clean(FIELDS["phone"], phone) == phone
    with pytest.raises(Fault):
        clean(FIELDS["card_token"], phone)
    with pytest.raises(Fault):
        clean(FIELDS["phone"], "+" + CARD)  # longer than any phone number
    with pytest.raises(Fault):
        clean(FIELDS["phone"], CARD)


def test_the_message_of_a_fault_never_repeats_the_value() -> None:
    with pytest.raises(Fault) as caught:
        clean(FIELDS["card_token"], CARD)
    assert "4111" not in str(caught.value)
    assert caught.value.status == 422
    assert caught.value.at("card_token").field == "card_token"


def test_countries_currencies_and_addresses_have_one_spelling() -> None:
    assert clean(FIELDS["shipping_country"], " de ") == "DE"
    assert clean(FIELDS["currency"], "rub") == "RUB"
    assert clean(FIELDS["ip"], "2001:DB8:0::1") == "2001:db8::1"
    assert clean(FIELDS["ip"], "") == ""
    for name, wrong in (("shipping_country", "Germany"), ("currency", "RUR"), ("ip", "1.2.3")):
        with pytest.raises(Fault):
            clean(FIELDS[name], wrong)


def test_addresses_written_as_numbers() -> None:
    assert ip_of_number("732758368.8") == ip_of_number(732758368) == "43.173.1.96"
    for wrong in (-1, 2**32, "a"):
        with pytest.raises(Fault, match="not an IP address"):
            ip_of_number(wrong)
    with pytest.raises(Fault):
        clean_ip("01.2.3.4")


@given(
    st.tuples(*[st.integers(0, 300)] * 4).map(lambda parts: ".".join(map(str, parts))),
    st.text("0123456789.", max_size=9),
)
def test_an_address_is_one_whatever_reads_it(dotted: str, other: str) -> None:
    for text in (dotted, other, f"0{dotted}", f"{dotted}{other}"):
        with suppress(Fault):
            assert clean_ip(text) == text
            assert str(IPv4Address(text)) == text
            continue
        with pytest.raises(AddressValueError):
            IPv4Address(text)


def test_domains_are_written_as_they_are_looked_up() -> None:
    assert clean_domain("Mail.Example.ORG.") == "mail.example.org"
    assert clean_domain("Bücher.example") == "xn--bcher-kva.example"
    for wrong in (
        "",
        "localhost",
        "a@example.org",
        "a..b",
        "-a.example",
        "a b.example",
        "x" * 300 + ".example",
        "\ud800.a",
    ):
        with pytest.raises(Fault, match="not a domain"):
            clean_domain(wrong)


@given(st.text(max_size=60))
def test_the_domain_of_any_text_is_one_or_none(text: str) -> None:
    domain = domain_of(text)
    assert domain is None or clean_domain(domain) == domain


def test_the_domain_is_what_follows_the_last_at_sign() -> None:
    assert domain_of(' "a@b"@Example.org ') == "example.org"
    assert domain_of("Ada <ada@example.org>") is None
    assert domain_of("ada") is None


def test_numbers_are_finite() -> None:
    assert clean_number("2.5") == 2.5
    assert clean_number(1 / 3) == 1 / 3
    for wrong in ("nan", float("inf"), "1e999"):
        with pytest.raises(Fault):
            clean_number(wrong)


def test_labels() -> None:
    assert [clean_label(value) for value in (1, "1", " Yes", True, 1.0)] == [True] * 5
    assert [clean_label(value) for value in (0, "0", "no", False, 0.0)] == [False] * 5
    with pytest.raises(Fault, match="neither true nor false"):
        clean_label(2)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001  local times
def test_iso_times_there_and_back(moment: datetime) -> None:
    micros = to_micros(moment.isoformat(), UTC_CLOCK)
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros) == moment.replace(tzinfo=UTC)
    assert to_micros(moment.isoformat() + "+03:00", UTC_CLOCK) == micros - 3 * 3_600_000_000


def test_a_local_time_that_was_twice_is_the_first_and_one_that_never_was_is_refused() -> None:
    berlin = Clock(ZoneInfo("Europe/Berlin"))
    assert to_micros("2020-10-25T02:30", berlin) == to_micros("2020-10-25T00:30Z", berlin)
    with pytest.raises(Fault, match="not a time"):
        to_micros("2020-03-29T02:30", berlin)


@pytest.mark.parametrize(
    ("value", "unit"), [(1_600_000_000, "s"), (1_600_000_000_000, "ms"), (1_600_000_000_000_000_000, "ns")]
)
def test_numbers_are_times_by_their_unit(value: int, unit: str) -> None:
    assert to_micros(value, UTC_CLOCK._replace(unit=unit)) == 1_600_000_000_000_000


@pytest.mark.parametrize("value", ["2020-02-30", "yesterday", "", 5, True, float("nan"), 10**30, "2020-"])
def test_what_is_no_time_is_refused(value: str | int) -> None:
    with pytest.raises(Fault, match="not a time"):
        to_micros(value, UTC_CLOCK)


def test_a_year_that_no_zone_can_hold_is_refused_not_an_overflow() -> None:
    with pytest.raises(Fault, match="not a time"):
        to_micros("0001-01-01T00:00", Clock(ZoneInfo("Asia/Tokyo")))


def test_dates_are_midnights_and_formats_are_obeyed() -> None:
    assert to_micros(date(1970, 1, 2), UTC_CLOCK) == 86_400_000_000
    assert to_micros("1/2/1970 0:00", UTC_CLOCK._replace(format="%m/%d/%Y %H:%M")) == 86_400_000_000


def test_times_lie_between_1970_and_a_little_after_now() -> None:
    assert check_time(10 + SKEW, 10) == 10 + SKEW
    with pytest.raises(Fault, match="future"):
        check_time(11 + SKEW, 10)
    with pytest.raises(Fault, match="1970"):
        check_time(-1, 10)


def test_spellings_of_the_same_person_share_a_key() -> None:
    assert personal_key("email", " Anna@Example.com") == personal_key("email", "anna@example.COM ")
    assert personal_key("phone", "+7 (912) 345-67-89") == personal_key("phone", "+79123456789")
    assert personal_key("full_name", "Anna  Petrova") == personal_key("full_name", "anna petrova")
    assert personal_key("full_name", "Anna Petrova") != personal_key("full_name", "Anna Petrov")


@given(st.text())
def test_a_mask_shows_the_shape_and_no_letter_or_digit_of_it(text: str) -> None:
    shown = mask(text)
    assert len(shown) <= 40
    assert set(shown) <= set("x9? .,:;+-/@_")
