"""Values as an analyst reads them."""

import pytest

from fradect.modules import contract_of
from fradect.types import Value
from fradect.words import Words

STANDARD = contract_of("ecommerce/standard")
WORDS = Words(STANDARD, "RUB")


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
        ("amount_to_customer_mean", 3.0, "3.0 ratio"),
        ("payment_method", 3.0, "cod"),
        ("payment_method", float("nan"), "unknown"),
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
