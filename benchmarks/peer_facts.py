"""What the peers' servers are told, and the work that is the same in each: values out of a body, twenty rules.

Written as a team writes it on a good day: dictionaries, comparisons, no framework. Nothing here is FRADECT's own.
"""

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha1
from pathlib import Path
from typing import Any

import msgspec

Values = dict[str, float]
VARIABLE = "PEER_FACTS"


class Facts(msgspec.Struct, frozen=True):
    """Where the stores are, the model, and the contract's features in order with the categories of those that have."""

    redis: str
    dsn: str
    model: str
    rulebook: str
    folder: str
    names: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    references: tuple[str, ...]


def facts() -> Facts:
    return msgspec.json.decode(Path(os.environ[VARIABLE]).read_bytes(), type=Facts)


def address_key(text: str | None) -> str:
    return sha1(text.encode(), usedforsecurity=False).hexdigest() if text else ""


def keys_of(body: Mapping[str, Any]) -> dict[str, str]:
    """The keys of a purchase's entities, by the name of the field that holds them."""
    bought = body["transaction"]
    device = bought.get("device") or {}
    return {
        "customer_id": bought["customer_id"],
        "merchant_id": bought.get("merchant_id") or "",
        "device_id": device.get("id") or "",
        "card_token": (bought.get("card") or {}).get("token") or "",
        "shipping_address_token": address_key((bought.get("shipping_address") or {}).get("text")),
        "ip": device.get("ip") or "",
    }


def values_of(body: Mapping[str, Any], fetched: Mapping[str, float | None], facts: Facts) -> Values:
    """Every feature by name: what the stores gave, what the body says, and the ratios of both."""
    bought = body["transaction"]
    countries = [(bought.get(part) or {}).get(name) for part, name in _COUNTRIES]
    seconds = time.time()
    days = int(seconds // 86_400)
    found: Values = {name: math.nan if value is None else value for name, value in fetched.items()}
    found["amount"] = float(bought["amount"]) * 100
    found["payment_method"] = _code(facts, "payment_method", bought.get("payment_method"))
    found["channel"] = _code(facts, "channel", (body.get("context") or {}).get("channel"))
    found["hour"] = float(seconds % 86_400 // 3600)
    found["weekend"] = float((days + 3) % 7 >= 5)
    signup = (bought.get("customer") or {}).get("signup_at")
    found["account_age"] = math.nan if signup is None else (seconds - _seconds(signup)) / 86_400
    for name, one, other in (("ip_differs_billing", 0, 1), ("ip_differs_shipping", 0, 2)):
        found[name] = _differ(countries[one], countries[other])
    found["billing_differs_shipping"] = _differ(countries[1], countries[2])
    for name, over, under in _RATIOS:
        bottom = found.get(under, math.nan)
        found[name] = found.get(over, math.nan) / bottom if bottom > 0 else math.nan
    found["geolocation_risk_score"] = 40.0 * (found["ip_differs_billing"] == 1)
    return found


_COUNTRIES = (("device", "ip_country"), ("card", "country"), ("shipping_address", "country"))
_RATIOS = (
    ("amount_to_customer_mean", "amount", "customer_amount_mean_30d_before"),
    ("amount_to_merchant_mean", "amount", "merchant_amount_mean_1d"),
    ("velocity_jump", "customer_count_1d", "customer_count_7d"),
    ("customer_speed", "customer_km_since_last", "customer_since_last"),
)


def _code(facts: Facts, name: str, text: str | None) -> float:
    known = facts.categories[name]
    return float(known.index(text)) if text in known else math.nan


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _differ(one: str | None, other: str | None) -> float:
    return math.nan if one is None or other is None else float(one != other)


Rule = tuple[str, int, str, Callable[[Values], bool]]
RULES: Sequence[Rule] = (
    ("customer_burst", 80, "APPROVE", lambda v: v["customer_count_1h"] >= 6),
    ("customer_busy_day", 60, "APPROVE", lambda v: v["customer_count_1d"] >= 20),
    ("card_burst", 120, "REVIEW", lambda v: v["card_count_1h"] >= 8),
    ("card_minute", 120, "REVIEW", lambda v: v["card_count_1m"] >= 4),
    ("device_burst", 100, "REVIEW", lambda v: v["device_count_1h"] >= 8),
    ("card_testing", 200, "REVIEW", lambda v: v["device_distinct_card_1h"] >= 3),
    ("many_cards_on_device", 120, "REVIEW", lambda v: v["device_distinct_card_7d"] >= 7),
    ("many_customers_on_device", 150, "REVIEW", lambda v: v["device_distinct_customer_1d"] >= 4),
    ("card_to_many_addresses", 40, "APPROVE", lambda v: v["card_distinct_address_30d"] >= 6),
    ("new_account_high_amount", 100, "REVIEW", lambda v: v["amount"] >= 3e6 and v["account_age"] < 1),
    ("first_purchase_high_amount", 60, "APPROVE", lambda v: v["amount"] >= 6e6 and v["customer_count_30d"] == 1),
    ("amount_far_above_mean", 80, "APPROVE", lambda v: v["amount"] >= 2e6 and v["amount_to_customer_mean"] >= 10),
    ("known_fraud", 40, "APPROVE", lambda v: v["fraud_history"] >= 3),
    ("three_countries", 60, "APPROVE", lambda v: v["ip_differs_billing"] == v["billing_differs_shipping"] == 1),
    ("foreign_address", 60, "REVIEW", lambda v: v["ip_differs_billing"] == 1 and v["amount"] >= 5e6),
    ("impossible_travel", 80, "APPROVE", lambda v: v["customer_km_since_last"] > 100 and v["customer_speed"] >= 1000),
    ("risky_origin", 60, "APPROVE", lambda v: v["geolocation_risk_score"] >= 70),
    ("cash_high_amount", 40, "APPROVE", lambda v: v["payment_method"] == 3 and v["amount"] >= 6e6),
    ("night_high_amount", 30, "APPROVE", lambda v: v["hour"] <= 4 and v["amount"] >= 6e6),
    ("amount_extreme", 0, "REVIEW", lambda v: v["amount"] >= 1e8),
)


def decision_of(probability: float, values: Values) -> dict[str, Any]:
    """Score, action and the rules that hit."""
    hits = [(name, points, floor) for name, points, floor, hit in RULES if hit(values)]
    score = min(1000, round(1000 * probability) + sum(points for _, points, _ in hits))
    by_score = "DECLINE" if score >= 700 else "REVIEW" if score >= 300 else "APPROVE"
    floored = by_score == "APPROVE" and any(floor == "REVIEW" for _, _, floor in hits)
    return {
        "score": score,
        "decision": "REVIEW" if floored else by_score,
        "factors": [{"name": name, "points": points} for name, points, _ in hits],
    }


TABLE = """CREATE TABLE IF NOT EXISTS {name} (transaction_id text PRIMARY KEY, customer_id text NOT NULL,
    score integer NOT NULL, decision text NOT NULL, answer text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now())"""
INSERT = "INSERT INTO {name} (transaction_id, customer_id, score, decision, answer) VALUES {values}"
