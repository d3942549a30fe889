"""Purchases: vocabulary, entities, contracts and costs."""

from types import MappingProxyType

from fradect.features.contract import Aggregate, Contract, Feature, Kind, Window
from fradect.modules.declaration import CostModel, Field, FieldType, Module
from fradect.types import DAY, HOUR, MINUTE, OutcomeKind

PAYMENT_METHODS = ("card", "wallet", "transfer", "cod")
CHANNELS = ("web", "app", "call_centre")

FIELDS = (
    Field("amount", FieldType.MONEY, "amount as given, in minor units of `currency`", required=True),
    Field("currency", FieldType.CURRENCY, "ISO 4217 code of `amount`", required=True),
    Field("customer_id", FieldType.ID, "who buys", required=True),
    Field("merchant_id", FieldType.ID, "who sells: a shop or a terminal"),
    Field("device_id", FieldType.ID, "fingerprint of the device"),
    Field("card_token", FieldType.ID, "token of the card, never its number"),
    Field("ip", FieldType.IP, "address the order came from"),
    Field("payment_method", FieldType.CATEGORY, "how it is paid"),
    Field("channel", FieldType.CATEGORY, "web, app or call centre"),
    Field("browser", FieldType.CATEGORY, "browser family"),
    Field("source", FieldType.CATEGORY, "how the customer found the shop"),
    Field("ip_country", FieldType.COUNTRY, "country of `ip`"),
    Field("ip_place", FieldType.PLACE, "where `ip` is, as far as the table of ranges knows"),
    Field("billing_country", FieldType.COUNTRY, "country of the card or invoice"),
    Field("shipping_country", FieldType.COUNTRY, "country the goods go to"),
    Field("signup_at", FieldType.TIME, "when the customer's account was opened"),
    Field("email", FieldType.PERSONAL, "the customer's e-mail address"),
    Field("email_domain", FieldType.DOMAIN, "domain of `email`", of="email"),
    Field("phone", FieldType.PERSONAL, "the customer's telephone number"),
    Field("full_name", FieldType.PERSONAL, "the customer's name"),
    Field("shipping_address", FieldType.PERSONAL, "where the goods go"),
    Field("sex", FieldType.CATEGORY, "for the fairness audit", protected=True),
    Field("age", FieldType.NUMBER, "years, for the fairness audit (in bands)", protected=True),
)

ENTITIES = MappingProxyType(
    {
        "customer": "customer_id",
        "merchant": "merchant_id",
        "device": "device_id",
        "card": "card_token",
        "address": "shipping_address_token",
        "ip": "ip",
    }
)
LISTS = MappingProxyType(
    {
        "customer": "customer_id",
        "device": "device_id",
        "card": "card_token",
        "ip": "ip",
        "email_domain": "email_domain",
    }
)
ENTITY_OF = MappingProxyType({field: entity for entity, field in ENTITIES.items()})


def _request(name: str, unit: str, meaning: str, categories: tuple[str, ...] = ()) -> Feature:
    return Feature(name, Kind.REQUEST, unit, meaning, categories=categories)


def _derived(name: str, unit: str, meaning: str) -> Feature:
    return Feature(name, Kind.DERIVED, unit, meaning)


def _batch(name: str, unit: str, meaning: str, empty: float | None = None) -> Feature:
    return Feature(name, Kind.BATCH, unit, meaning, empty=empty)


def _span(length: int) -> str:
    if length % DAY == 0:
        return f"{length // DAY}d"
    return f"{length // HOUR}h" if length % HOUR == 0 else f"{length // MINUTE}m"


def _count(entity: str, length: int, tile: int = 0) -> Feature:
    span = _span(length)
    return Feature(
        f"{entity}_count_{span}",
        Kind.LIVE,
        "events",
        f"purchases of this {entity} in {span}, this one included",
        Window(entity, Aggregate.COUNT, length, resolution=tile),
    )


def _money(entity: str, aggregate: Aggregate, length: int, *, include_self: bool = True, tile: int = 0) -> Feature:
    span = _span(length)
    return Feature(
        f"{entity}_amount_{aggregate}_{span}" + ("" if include_self else "_before"),
        Kind.LIVE,
        "minor units",
        f"{aggregate} of this {entity}'s amounts in {span}, this one {'included' if include_self else 'left out'}",
        Window(entity, aggregate, length, of="amount_base", include_self=include_self, resolution=tile),
    )


def _distinct(entity: str, of: str, length: int, tile: int = 0) -> Feature:
    span = _span(length)
    return Feature(
        f"{entity}_distinct_{ENTITY_OF[of]}_{span}",
        Kind.LIVE,
        "count",
        f"different {_several(ENTITY_OF[of])} seen with this {entity} in {span}, this one included",
        Window(entity, Aggregate.DISTINCT, length, of=of, resolution=tile),
    )


def _several(entity: str) -> str:
    return entity + ("es" if entity.endswith("s") else "s")


def _since_last(entity: str, length: int) -> Feature:
    return Feature(
        f"{entity}_since_last",
        Kind.LIVE,
        "seconds",
        f"time since the previous purchase of this {entity}, looked for in {_span(length)}",
        Window(entity, Aggregate.SINCE_LAST, length),
    )


def _km_since_last(entity: str, length: int) -> Feature:
    return Feature(
        f"{entity}_km_since_last",
        Kind.LIVE,
        "km",
        f"distance from the place of this {entity}'s previous purchase, looked for in {_span(length)}",
        Window(entity, Aggregate.KM_SINCE_LAST, length, of="ip_place"),
    )


def _fraud_share(entity: str, length: int, delay: int, tile: int = 0) -> Feature:
    span = _span(length)
    return Feature(
        f"{entity}_fraud_share_{span}",
        Kind.LIVE,
        "share",
        f"share of fraud among this {entity}'s purchases whose label matured in the last {span}",
        Window(entity, Aggregate.SHARE, length, outcome=OutcomeKind.FRAUD, delay=delay, resolution=tile),
        empty=0.0,
    )


def _matured_count(entity: str, length: int, delay: int) -> Feature:
    span = _span(length)
    return Feature(
        f"{entity}_matured_{span}",
        Kind.LIVE,
        "events",
        f"purchases of this {entity} whose label matured in the last {span}",
        Window(entity, Aggregate.COUNT, length, outcome=OutcomeKind.FRAUD, delay=delay),
    )


STANDARD = Contract(
    name="ecommerce/standard",
    module="ecommerce",
    requires=("amount", "currency", "customer_id", "merchant_id", "device_id", "payment_method"),
    features=(
        _request("amount", "minor units", "amount in the base currency"),
        _request("payment_method", "category", "how it is paid", PAYMENT_METHODS),
        _request("channel", "category", "where the order was placed", CHANNELS),
        _request("hour", "hours", "hour of the day, UTC"),
        _request("weekend", "0/1", "Saturday or Sunday, UTC"),
        _request("account_age", "days", "time since the account was opened"),
        _request("ip_differs_billing", "0/1", "the address is in another country than the card"),
        _request("ip_differs_shipping", "0/1", "the address is in another country than the goods go to"),
        _request("billing_differs_shipping", "0/1", "the card is of another country than the goods go to"),
        *(_count("customer", length) for length in (HOUR, DAY, 7 * DAY, 30 * DAY)),
        _money("customer", Aggregate.SUM, DAY),
        _money("customer", Aggregate.MEAN, 30 * DAY, include_self=False),
        _money("customer", Aggregate.MAX, 30 * DAY, include_self=False),
        _distinct("customer", "device_id", 30 * DAY),
        _distinct("customer", "card_token", 30 * DAY),
        _since_last("customer", 30 * DAY),
        _km_since_last("customer", 30 * DAY),
        *(_count("device", length) for length in (HOUR, DAY)),
        _distinct("device", "customer_id", DAY),
        _distinct("device", "customer_id", 30 * DAY),
        _distinct("device", "card_token", HOUR),
        _distinct("device", "card_token", 7 * DAY),
        *(_count("card", length) for length in (MINUTE, HOUR, DAY)),
        _distinct("card", "shipping_address_token", 30 * DAY),
        _distinct("customer", "shipping_address_token", 30 * DAY),
        # Anyone may stand behind an address, and all the world behind a merchant: their state is bounded by tiles.
        _count("ip", HOUR, tile=5 * MINUTE),
        _count("ip", DAY, tile=HOUR),
        _distinct("ip", "customer_id", DAY, tile=HOUR),
        _distinct("ip", "card_token", DAY, tile=HOUR),
        _distinct("address", "customer_id", 30 * DAY, tile=DAY),
        _distinct("address", "card_token", 7 * DAY, tile=DAY),
        _count("merchant", HOUR, tile=5 * MINUTE),
        _money("merchant", Aggregate.MEAN, DAY, tile=HOUR),
        _money("merchant", Aggregate.MAX, 7 * DAY, include_self=False, tile=DAY),
        _fraud_share("merchant", 7 * DAY, 7 * DAY, tile=DAY),
        _fraud_share("merchant", 30 * DAY, 7 * DAY, tile=DAY),
        _derived("amount_to_customer_mean", "ratio", "amount against this customer's mean of 30 days before"),
        _derived("amount_to_merchant_mean", "ratio", "amount against this merchant's mean of the day"),
        _derived("velocity_jump", "ratio", "share of the customer's last 7 days' purchases made in the last hour"),
        _derived("customer_speed", "km/h", "speed at which this customer came from the previous purchase's place"),
        _derived("geolocation_risk_score", "score", "0 to 100: countries that differ, distance, speed since the last"),
        _batch("total_orders", "events", "purchases of this customer up to last midnight UTC", 0.0),
        _batch("avg_order_value", "minor units", "mean amount of this customer up to last midnight UTC"),
        _batch("return_rate", "share", "returned purchases among this customer's, as known last midnight UTC"),
        _batch("fraud_history", "events", "confirmed fraud of this customer, as known last midnight UTC", 0.0),
    ),
)

WEEKS = (DAY, 7 * DAY, 30 * DAY)

_BOOK = (
    _request("amount", "minor units", "amount in the base currency"),
    _request("weekend", "0/1", "Saturday or Sunday, UTC"),
    _request("night", "0/1", "from midnight to before seven, UTC"),
    *(_count("customer", length) for length in WEEKS),
    *(_money("customer", Aggregate.MEAN, length) for length in WEEKS),
    *(_matured_count("merchant", length, 7 * DAY) for length in WEEKS),
    *(_fraud_share("merchant", length, 7 * DAY) for length in WEEKS),
)

# The Fraud Detection Handbook's fifteen inputs (a terminal is a merchant, labels take seven days): our name, its name.
HANDBOOK_PUBLISHED = tuple(
    zip(
        (feature.name for feature in _BOOK),
        (
            "TX_AMOUNT",
            "TX_DURING_WEEKEND",
            "TX_DURING_NIGHT",
            *(f"CUSTOMER_ID_NB_TX_{days}DAY_WINDOW" for days in (1, 7, 30)),
            *(f"CUSTOMER_ID_AVG_AMOUNT_{days}DAY_WINDOW" for days in (1, 7, 30)),
            *(f"TERMINAL_ID_NB_TX_{days}DAY_WINDOW" for days in (1, 7, 30)),
            *(f"TERMINAL_ID_RISK_{days}DAY_WINDOW" for days in (1, 7, 30)),
        ),
        strict=True,
    )
)

# Beyond the book: how far an amount is from what the customer usually spends, and when a merchant's fraud began and
# ended. Chosen on purchases before the first test fold (docs/concepts/learning.md).
HANDBOOK = Contract(
    name="ecommerce/handbook",
    module="ecommerce",
    requires=("amount", "currency", "customer_id", "merchant_id"),
    features=(
        *_BOOK,
        _money("customer", Aggregate.MEAN, 30 * DAY, include_self=False),
        _money("customer", Aggregate.MAX, 7 * DAY, include_self=False),
        _money("customer", Aggregate.MAX, 30 * DAY, include_self=False),
        _money("customer", Aggregate.MAX, 3 * DAY),
        _money("customer", Aggregate.MAX, 7 * DAY),
        *(_fraud_share("merchant", length, 7 * DAY) for length in (3 * DAY, 14 * DAY, 21 * DAY, 28 * DAY)),
        _money("merchant", Aggregate.MEAN, 7 * DAY),
        _money("merchant", Aggregate.MAX, 30 * DAY, include_self=False),
        _derived("amount_to_customer_mean", "ratio", "amount against this customer's mean of 30 days before"),
        _derived("amount_to_customer_max_7d", "ratio", "amount against this customer's largest of 7 days before"),
        _derived("amount_to_customer_max_30d", "ratio", "amount against this customer's largest of 30 days before"),
        _derived("customer_max_3d_to_mean", "ratio", "this customer's largest of 3 days against the mean of 30 before"),
        _derived("customer_max_7d_to_mean", "ratio", "this customer's largest of 7 days against the mean of 30 before"),
    ),
)

MODULE = Module(
    name="ecommerce",
    fields=FIELDS,
    entities=ENTITIES,
    contracts=(STANDARD, HANDBOOK),
    rulebook="ecommerce.json",
    costs=CostModel(
        loss=1.0, margin=0.15, insult_fixed=50_000, review_fixed=15_000, review_catch=0.85, review_insult=0.02
    ),
    lists=LISTS,
)

# Canonical field -> where a caller sends it in the body of a score request.
REQUEST_PATHS = MappingProxyType(
    {
        "amount": "transaction.amount",
        "currency": "transaction.currency",
        "customer_id": "transaction.customer_id",
        "merchant_id": "transaction.merchant_id",
        "device_id": "transaction.device.id",
        "card_token": "transaction.card.token",
        "ip": "transaction.device.ip",
        "payment_method": "transaction.payment_method",
        "channel": "context.channel",
        "browser": "transaction.device.browser",
        "source": "transaction.source",
        "ip_country": "transaction.device.ip_country",
        "billing_country": "transaction.card.country",
        "shipping_country": "transaction.shipping_address.country",
        "signup_at": "transaction.customer.signup_at",
        "email": "transaction.customer.email",
        "phone": "transaction.customer.phone",
        "full_name": "transaction.customer.full_name",
        "shipping_address": "transaction.shipping_address.text",
    }
)
