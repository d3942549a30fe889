"""Card numbers in texts and in ids: what every scheme issues is found, a caller's own long numbers are left alone."""

import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.cards import holds_card_number, holds_issued_number
from fradect.events import IDS, clean, clean_text
from fradect.faults import Fault, Reason
from fradect.modules import module_of

# Of nobody: numbers to test with, mostly the ones that processors publish, in the range of each scheme.
OF_NOBODY = {
    "Visa": "4111111111111111",
    "Visa, 19": "4000000000000000006",
    "Mastercard": "5555555555554444",
    "Mastercard, 2 series": "2223003122003222",
    "Mir": "2200000000000004",
    "American Express": "378282246310005",
    "Diners Club": "30569309025904",
    "Diners Club, 36": "36227206271667",
    "JCB": "3566002020360505",
    "Discover": "6011111111111117",
    "UnionPay": "6200000000000005",
    "UnionPay, 19": "6205500000000000004",
    "RuPay": "6074820000000009",
    "Maestro": "6759649826438453",
}


def in_fours(number: str, gap: str) -> str:
    return gap.join(number[i : i + 4] for i in range(0, len(number), 4))


@pytest.mark.parametrize("number", OF_NOBODY.values(), ids=OF_NOBODY)
@pytest.mark.parametrize("text", ["{}", "order {} of Ann", "tx_{}", "{}/2026", "№{}; 123"])
@pytest.mark.parametrize("gap", ["", " ", "-", " - ", "\u2013"])
def test_a_number_of_every_scheme_is_found_whatever_stands_around_it(number: str, text: str, gap: str) -> None:
    held = text.format(in_fours(number, gap))
    assert holds_issued_number(held)
    assert holds_card_number(held)
    assert not holds_issued_number(text.format(in_fours(number[:-1] + str((int(number[-1]) + 1) % 10), gap)))


@given(st.text("0123456789 -abz", max_size=40))
def test_what_counts_in_an_id_counts_in_every_text(text: str) -> None:
    assert not holds_issued_number(text) or holds_card_number(text)


@pytest.mark.parametrize(
    "own",
    [
        "1792837465019283741",  # snowflakes that pass the Luhn check, as one in ten does
        "1111111111111117",
        "1700000000000000004",
        "20261124093015000",
        "4006381333931",  # a barcode
        "order-2026-11-24-000000001234",
        "411111111111111111111111",
        "a1b2c3d4-4111-1111-1111-111111111111",
        "01KARZ41111111111Z4111111K",
    ],
)
def test_a_callers_own_numbers_are_left_alone(own: str) -> None:
    assert clean_text(own, is_id=True) == own


def test_a_text_of_a_person_is_judged_more_strictly_than_an_id() -> None:
    passes_luhn = "1111111111111117"
    assert clean_text(passes_luhn, is_id=True) == passes_luhn
    with pytest.raises(Fault):
        clean_text(passes_luhn)


@pytest.mark.parametrize("name", sorted(IDS))
def test_fields_of_ids_obey_the_law_of_ids_and_say_nothing_of_the_value(name: str) -> None:
    field = next(one for one in module_of("ecommerce").fields if one.name == name)
    assert clean(field, "1111111111111117") == "1111111111111117"
    with pytest.raises(Fault) as caught:
        clean(field, "shop 4111 1111-1111 1111")
    assert caught.value.reason is Reason.CARD
    assert "1111" not in str(caught.value)


def test_ids_in_their_usual_shapes_are_taken_for_cards_as_seldom_as_the_docs_say() -> None:
    """benchmarks/card_numbers.py counts a million of each; docs/security.md has its figures."""
    rng = random.Random(5)
    tried = 20_000
    uuids = sum(holds_issued_number(str(uuid.UUID(int=rng.getrandbits(128), version=4))) for _ in range(tried))
    digits = sum(holds_issued_number(f"{rng.randrange(10**16):016d}") for _ in range(tried))
    assert uuids == 0
    assert 0.015 < digits / tried < 0.035
