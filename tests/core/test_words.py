"""Values as an analyst reads them."""

from dataclasses import replace

import pytest

from fradect.features.contract import Contract, Kind
from fradect.modules import MODULES, contract_of
from fradect.types import Value
from fradect.words import Words

STANDARD = contract_of("ecommerce/standard")
WORDS = Words(STANDARD, "RUB")
UNKNOWN = float("nan")


@pytest.mark.parametrize(
    ("feature", "value", "said"),
    [
        ("amount", 123_456_789.0, "1,234,567.89 RUB"),
        ("customer_count_1h", 7.0, "7"),
        ("device_distinct_card_7d", 1_234.0, "1,234"),
        ("weekend", 1.0, "yes"),
        ("weekend", 0.0, "no"),
        ("merchant_fraud_share_30d", 0.125, "12.5 %"),
        ("customer_since_last", 45.0, "45 s"),
        ("customer_since_last", 1_800.0, "30 min"),
        ("customer_since_last", 9_000.0, "2.5 h"),
        ("customer_since_last", 172_800.0, "2.0 days"),
        ("customer_km_since_last", 1_609.2, "1,609 km"),
        ("customer_speed", 9_999.9, "10,000 km/h"),
        ("geolocation_risk_score", 62.5, "62 of 100"),
        ("account_age", 12.34, "12.3 days"),
        ("amount_to_customer_mean", 3.0, "3.0 times"),
        ("account_age", 0.125, "3.0 h"),
        ("account_age", -2.5, "-2.5 days"),
        ("hour", 14.0, "14 h"),
        ("payment_method", 3.0, "cod"),
        ("payment_method", float("nan"), "unknown"),
        ("payment_method", 9.0, "unknown"),
        ("payment_method", -1.0, "unknown"),
    ],
)
def test_a_value_is_said_with_its_unit(feature: str, value: float, said: str) -> None:
    assert WORDS.value(STANDARD.feature(feature), value) == said


def test_currencies_have_their_own_decimals() -> None:
    assert Words(STANDARD, "JPY").value(STANDARD.feature("amount"), 5_000.0) == "5,000 JPY"
    assert Words(STANDARD, "KWD").major(12_345.0) == 12.345


def test_a_template_takes_features_event_fields_and_says_what_is_unknown() -> None:
    values: dict[str, Value] = {"customer_count_1h": 3.0, "event.payment_method": "cod", "event.hour": 4}
    template = "{customer_count_1h} at {event.hour} h by {event.payment_method}, {amount}"
    assert WORDS.fill(template, values) == "3 at 4 h by cod, unknown"


def test_a_value_in_a_text_is_text_and_short() -> None:
    assert len(WORDS.fill("{event.browser}", {"event.browser": "{amount}" * 50})) == 64


@pytest.mark.parametrize(
    ("feature", "value", "said"),
    [
        ("amount", 1_234_567.0, "amount of 12,345.67 RUB"),
        ("payment_method", 1.0, "payment method: wallet"),
        ("hour", 3.0, "ordered at 3:00 UTC"),
        ("weekend", 1.0, "at a weekend, UTC"),
        ("account_age", 12.34, "account opened 12.3 days ago"),
        ("ip_differs_billing", 1.0, "the IP address is in another country than the card"),
        ("ip_differs_billing", 0.0, "the IP address is in the same country as the card"),
        ("device_distinct_card_1h", 7.0, "7 cards on this device in 1 h"),
        ("device_distinct_card_1h", 1.0, "1 card on this device in 1 h"),
        ("customer_distinct_address_30d", 2.0, "2 addresses used by this customer in 30 days"),
        ("address_distinct_card_7d", 3.0, "3 cards for this address in 7 days"),
        ("card_count_1m", 2.0, "2 purchases with this card in 1 min"),
        ("ip_count_1d", 1.0, "1 purchase from this IP address in 24 h"),
        ("customer_amount_sum_1d", 500.0, "5.00 RUB spent by this customer in 24 h"),
        (
            "customer_amount_max_30d_before",
            500.0,
            "largest purchase by this customer in the 30 days before this one: 5.00 RUB",
        ),
        ("customer_since_last", 9_000.0, "2.5 h since the previous purchase by this customer"),
        (
            "merchant_fraud_share_7d",
            0.5,
            "50.0 % fraud among purchases at this merchant whose outcome matured in the last 7 days",
        ),
        ("amount_to_customer_mean", 3.27, "amount 3.3 times this customer's mean of the 30 days before"),
        ("velocity_jump", 0.43, "43 % of this customer's purchases of 7 days were made in the last hour"),
        ("geolocation_risk_score", 62.0, "geolocation risk 62 of 100"),
        ("fraud_history", 1.0, "1 confirmed fraud by this customer, as known last midnight UTC"),
        ("customer_since_last", UNKNOWN, "no earlier purchase by this customer in 30 days"),
        ("avg_order_value", UNKNOWN, "no purchase by this customer up to last midnight UTC"),
    ],
)
def test_a_factor_is_a_sentence(feature: str, value: float, said: str) -> None:
    assert WORDS.reason(feature, value) == said


def test_what_is_usual_is_said_in_the_same_words() -> None:
    usual = {"device_distinct_card_1h": 1.0, "amount": 250_000.0, "weekend": 0.0, "payment_method": 0.0, "hour": 12.0}
    words = Words(STANDARD, "RUB", usual)
    assert words.reason("device_distinct_card_1h", 7.0) == "7 cards on this device in 1 h, usually 1"
    assert words.reason("device_distinct_card_1h", 1.0) == "1 card on this device in 1 h, as usual"
    assert words.reason("amount", 1_200_000.0) == "amount of 12,000.00 RUB, usually 2,500.00 RUB"
    assert words.reason("payment_method", 2.0) == "payment method: transfer, usually card"
    assert words.reason("weekend", 1.0) == "at a weekend, UTC"
    assert words.reason("hour", 1.0) == "ordered at 1:00 UTC"
    assert words.reason("device_distinct_card_1h", UNKNOWN) == "no earlier purchase on this device in 1 h"
    assert words.reason("customer_count_1h", 2.0) == "2 purchases by this customer in 1 h"


def test_a_value_that_could_not_be_read_is_unknown_and_not_nothing() -> None:
    gone = "live_state did not answer"
    assert WORDS.reason("device_distinct_card_1h", UNKNOWN, gone) == f"cards on this device in 1 h: unknown, {gone}"
    assert WORDS.reason("customer_since_last", UNKNOWN, gone) == (
        f"time since the previous purchase by this customer: unknown, {gone}"
    )
    assert WORDS.reason("amount_to_customer_mean", UNKNOWN, "no value") == (
        "amount against this customer's mean of the 30 days before: unknown"
    )
    for feature in STANDARD:
        if feature.kind in (Kind.REQUEST, Kind.DERIVED):  # which never learn why they are missing
            assert WORDS.reason(feature.name, UNKNOWN).endswith(": unknown")
        assert WORDS.reason(feature.name, UNKNOWN, gone).endswith(f": unknown, {gone}")


@pytest.mark.parametrize("contract", [c for module in MODULES.values() for c in module.contracts], ids=lambda c: c.name)
def test_every_feature_of_every_contract_has_words_of_its_own(contract: Contract) -> None:
    words = Words(contract, "RUB")
    for feature in contract:
        for value in (0.0, 1.0, 2.5, 1e12, -3.0, UNKNOWN, float("inf")):
            said = words.reason(feature.name, value)
            assert said
            assert "{" not in said
            assert feature.meaning not in said, "phrase_of has no words for it"
            assert not any(unit in said for unit in ("minor units", "0/1", "ratio"))


def test_a_feature_nobody_found_words_for_says_its_meaning() -> None:
    odd = replace(STANDARD.feature("hour"), name="odd", unit="widgets", meaning="widgets seen")
    words = Words(replace(STANDARD, features=(odd,)), "RUB")
    assert words.reason("odd", 3.0) == "widgets seen: 3.0 widgets"
    assert words.reason("odd", UNKNOWN) == "widgets seen: unknown"
    assert (
        words.reason("odd", UNKNOWN, "the event names no device") == "widgets seen: unknown, the event names no device"
    )
