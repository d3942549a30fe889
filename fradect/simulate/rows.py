"""Purchases as the rows of a table: the columns a merchant would send."""

from datetime import date
from hashlib import blake2b

import numpy as np
import pyarrow as pa

from fradect.simulate.chance import Floats, Ints, Purpose, unit
from fradect.simulate.customers import FEMALE
from fradect.simulate.geography import CODES, country_of
from fradect.simulate.labels import Aftermath
from fradect.simulate.purchases import APP, CHANNELS, METHODS, Pattern, Purchases, World
from fradect.simulate.scenario import Scenario
from fradect.simulate.texts import Texts, dotted, sequence, tokens

CURRENCY = "RUB"
TIME = pa.timestamp("us", tz="UTC")
MONEY = pa.decimal128(14, 2)

_TYPES = {
    "transaction_id": pa.string(),
    "purchased_at": TIME,
    "amount": MONEY,
    "currency": pa.string(),
    "customer_id": pa.string(),
    "signup_at": TIME,
    "email": pa.string(),
    "phone": pa.string(),
    "full_name": pa.string(),
    "device_id": pa.string(),
    "card_token": pa.string(),
    "ip": pa.string(),
    "merchant_id": pa.string(),
    "payment_method": pa.string(),
    "channel": pa.string(),
    "browser": pa.string(),
    "ip_country": pa.string(),
    "billing_country": pa.string(),
    "shipping_country": pa.string(),
    "shipping_address": pa.string(),
    "sex": pa.string(),
    "age": pa.int16(),
    "is_fraud": pa.bool_(),
    "fraud_pattern": pa.string(),
    "label_known_at": TIME,
    "returned": pa.bool_(),
    "return_known_at": TIME,
}
SCHEMA = pa.schema([pa.field(name, kind, nullable=name == "return_known_at") for name, kind in _TYPES.items()])

_TRADE = ("seed", "start", "days", "events", "customers", "merchants", "fraud_rate")

_BROWSERS = ("chrome", "yandex", "safari", "firefox", "edge", "opera", "app")
_BROWSER_SHARE: Floats = np.cumsum([0.46, 0.2, 0.17, 0.08, 0.06, 0.03])


def to_table(world: World, texts: Texts, day: date, rows: Purchases, after: Aftermath) -> pa.Table:
    """One row per purchase, in the order given, which must be that of time: identifiers count upwards."""
    columns = {
        "transaction_id": sequence(_prefix(world.scenario, day), len(rows)),
        "purchased_at": _times(rows["time"]),
        "amount": _money(rows["amount"]),
        "currency": _coded((CURRENCY,), np.zeros(len(rows), dtype=np.int64)),
        **_buyer(world, texts, rows["customer"]),
        **_means(world, texts, rows),
        **_places(world, texts, rows),
        **_outcome(after),
    }
    return pa.Table.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _prefix(scenario: Scenario, day: date) -> str:
    """Letters for the trade, so that two do not share identifiers (bias and drift change none); digits for the day."""
    trade = [getattr(scenario, name) for name in _TRADE]
    number = int.from_bytes(blake2b(repr(trade).encode(), digest_size=8).digest())
    letters = "".join(chr(ord("g") + (number // 20**place) % 20) for place in range(4))
    return f"tx_{day.toordinal():06x}{letters}"


def _buyer(world: World, texts: Texts, customer: Ints) -> dict[str, pa.Array]:
    at = pa.array(customer)
    return {
        "customer_id": texts.customer.take(at),
        "email": texts.email.take(at),
        "phone": texts.phone.take(at),
        "full_name": texts.full_name.take(at),
        "signup_at": _times(world.customers.signup[customer]),
        "sex": _coded(("F", "M"), (world.customers.sex[customer] != FEMALE).astype(np.int64)),
        "age": pa.array(world.customers.age[customer].astype(np.int16)),
    }


def _means(world: World, texts: Texts, rows: Purchases) -> dict[str, pa.Array]:
    seed = world.scenario.seed
    browser = np.searchsorted(_BROWSER_SHARE, unit(seed, Purpose.BROWSER, rows["device"]))
    return {
        "device_id": tokens("dev_", seed, Purpose.DEVICE_TOKEN, rows["device"]),
        "card_token": tokens("card_", seed, Purpose.CARD_TOKEN, rows["card"]),
        "ip": dotted(texts.octet, rows["ip"]),
        "merchant_id": texts.merchant.take(pa.array(rows["merchant"])),
        "payment_method": _coded(METHODS, rows["method"]),
        "channel": _coded(CHANNELS, rows["channel"]),
        "browser": _coded(_BROWSERS, np.where(rows["channel"] == APP, len(_BROWSERS) - 1, browser)),
    }


def _places(world: World, texts: Texts, rows: Purchases) -> dict[str, pa.Array]:
    return {
        "ip_country": _coded(CODES, country_of(rows["ip"])),
        "billing_country": _coded(CODES, world.customers.country[rows["customer"]]),
        "shipping_country": _coded(CODES, world.address_country[rows["address"]]),
        "shipping_address": texts.address.take(pa.array(rows["address"])),
    }


def _outcome(after: Aftermath) -> dict[str, pa.Array]:
    names = tuple(pattern.name.lower() for pattern in Pattern)
    return {
        "is_fraud": pa.array(after.pattern != Pattern.NONE),
        "fraud_pattern": _coded(names, after.pattern),
        "label_known_at": _times(after.label_known_at),
        "returned": pa.array(after.returned),
        "return_known_at": pa.array(after.return_known_at, mask=~after.returned).cast(TIME),
    }


def _coded(names: tuple[str, ...], codes: Ints) -> pa.StringArray:
    return pa.array(names).take(pa.array(codes))


def _times(micros: Ints) -> pa.Array:
    return pa.array(micros).cast(TIME)


def _money(minor: Ints) -> pa.Array:
    """Minor units read as a decimal of two places: the same number, the point elsewhere. Not negative."""
    words = np.zeros((len(minor), 2), dtype=np.int64)
    words[:, 0] = minor
    return pa.Array.from_buffers(MONEY, len(minor), [None, pa.py_buffer(words)])
