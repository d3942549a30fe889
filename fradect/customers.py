"""What is known of a customer, and what follows from it by stated rules (docs/concepts/customers.md). Pure."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from fradect.outcomes import Outcome, Place
from fradect.types import DAY

LOW, MEDIUM, HIGH, UNKNOWN = "LOW", "MEDIUM", "HIGH", "UNKNOWN"
ERASED = "ERASED"
BANDS = ((600, HIGH), (300, MEDIUM), (0, LOW))
"""From this fraud score on."""

FRAUD_FADES = 365 * DAY
SCORE_FADES = 90 * DAY
RECENT = 30 * DAY


class Purchase(msgspec.Struct, frozen=True):
    """A decision about a purchase. Amount in minor units; `outcome` as it stands, None while nothing was told."""

    decision_id: str
    transaction_id: str
    decided_at: int
    amount: int
    currency: str
    score: int
    decision: str
    outcome: str | None
    seen: Mapping[str, str]
    """By entity (device, card, ip, address) whose it was, where the event says so."""


class Logged(msgspec.Struct, frozen=True):
    """What the event log says of a customer, decided here or imported. Amounts in minor units of the base currency."""

    purchases: int = 0
    amount: int = 0
    first_at: int | None = None
    last_at: int | None = None
    frauds: int = 0
    last_fraud_at: int | None = None
    returns: int = 0


class Customer(msgspec.Struct, frozen=True):
    """A row of `customers`, opened. `email` and `phone` are None where they are unknown."""

    id: str
    created_at: int
    updated_at: int
    risk_tier: str
    fraud_score: int
    logged: Logged
    email: str | None = None
    phone: str | None = None


class Known(NamedTuple):
    """All that a profile is made of: decisions, the newest first, and what the log says."""

    purchases: Sequence[Purchase]
    logged: Logged
    now: int


class Advice(msgspec.Struct, frozen=True):
    """What to do, by a rule of this name, and what the rule saw."""

    code: str
    text: str
    because: str


def fraud_score(known: Known) -> int:
    """0 to 1000: the worst of what is known, each fading evenly: confirmed fraud from 1000 within a year, a decision's
    score within 90 days unless it was a false positive."""
    worst = [0]
    for one in known.purchases:
        if one.outcome == Outcome.CONFIRMED_FRAUD:
            worst.append(_faded(1000, known.now - one.decided_at, FRAUD_FADES))
        elif one.outcome != Outcome.FALSE_POSITIVE:
            worst.append(_faded(one.score, known.now - one.decided_at, SCORE_FADES))
    if known.logged.last_fraud_at is not None:
        worst.append(_faded(1000, known.now - known.logged.last_fraud_at, FRAUD_FADES))
    return max(worst)


def _faded(value: int, age: int, within: int) -> int:
    return value * max(0, within - max(0, age)) // within


def risk_tier(known: Known) -> str:
    """UNKNOWN for a customer who never bought anything."""
    if not known.purchases and not known.logged.purchases:
        return UNKNOWN
    score = fraud_score(known)
    return next(tier for least, tier in BANDS if score >= least)


def worst_of(tiers: Sequence[str]) -> str:
    """The highest of those that are known."""
    order = (UNKNOWN, LOW, MEDIUM, HIGH)
    return max(tiers, key=order.index, default=UNKNOWN)


def different(purchases: Sequence[Purchase], entity: str) -> int:
    return len({one.seen[entity] for one in purchases if entity in one.seen})


def recent(known: Known, within: int) -> list[Purchase]:
    return [one for one in known.purchases if known.now - one.decided_at < within]


def _confirmed(known: Known) -> str | None:
    count = sum(one.outcome == Outcome.CONFIRMED_FRAUD for one in recent(known, SCORE_FADES))
    late = known.logged.last_fraud_at
    count = max(count, int(late is not None and known.now - late < SCORE_FADES))
    return f"{count} confirmed fraud in 90 days" if count else None


def _doubted(known: Known) -> str | None:
    last = known.purchases[:10]
    doubted = sum(one.decision != "APPROVE" and one.outcome != Outcome.FALSE_POSITIVE for one in last)
    return (
        f"{doubted} of the last {len(last)} decisions were no approval"
        if len(last) > 3 and 2 * doubted >= len(last)
        else None
    )


def _several(entity: str, least: int) -> Callable[[Known], str | None]:
    def rule(known: Known) -> str | None:
        count = different(recent(known, RECENT), entity)
        return f"{count} different {entity}s in 30 days" if count >= least else None

    return rule


def _new(known: Known) -> str | None:
    count = max(known.logged.purchases, len(known.purchases))
    first = min([one.decided_at for one in known.purchases] + [known.logged.first_at or known.now])
    return f"{count} purchases, the first less than 7 days ago" if count < 3 and known.now - first < 7 * DAY else None


def _wronged(known: Known) -> str | None:
    told = Counter(one.outcome for one in recent(known, FRAUD_FADES))
    wronged = told[Outcome.FALSE_POSITIVE]
    frauds = told[Outcome.CONFIRMED_FRAUD] + known.logged.frauds
    return f"{wronged} false positives and no fraud in a year" if wronged > 1 and not frauds else None


RULES: tuple[tuple[str, str, Callable[[Known], str | None]], ...] = (
    ("PREPAYMENT_ONLY", "Ask for prepayment, or for strong authentication, before anything is sent.", _confirmed),
    ("REVIEW_BY_PERSON", "Have a person look at the account before the next large order.", _doubted),
    ("VERIFY_CARD", "Have the bank authenticate the card at the next purchase.", _several("card", 3)),
    ("VERIFY_DEVICE", "Confirm the account's owner by e-mail or phone at the next new device.", _several("device", 3)),
    ("VERIFY_CONTACT", "Confirm e-mail and phone before the first large order.", _new),
    ("CONSIDER_ALLOW_LIST", "Consider the allow list: this customer was turned away wrongly.", _wronged),
)
NOTHING = Advice("NO_ACTION", "Nothing to do.", "no rule applies")


def recommendations(known: Known) -> tuple[Advice, ...]:
    """Every rule that applies, in the rules' order; NO_ACTION when none does."""
    found = tuple(Advice(code, text, because) for code, text, rule in RULES if (because := rule(known)) is not None)
    return found or (NOTHING,)


class Profile(msgspec.Struct, frozen=True):
    """A customer's risk in one module."""

    tier: str
    score: int
    decisions: Mapping[str, int]
    outcomes: Mapping[str, int]
    different: Mapping[str, int]


ENTITIES = ("device", "card", "ip", "address")


def profile(known: Known) -> Profile:
    return Profile(
        risk_tier(known),
        fraud_score(known),
        Counter(one.decision for one in known.purchases),
        Counter(one.outcome for one in known.purchases if one.outcome is not None),
        {entity: different(known.purchases, entity) for entity in ENTITIES},
    )


class Erasing(NamedTuple):
    """A request to erase: whose customer, by whom, when (microseconds)."""

    tenant_id: str
    customer_id: str
    by: str
    now: int


class Receipt(msgspec.Struct, frozen=True):
    """What was destroyed, and when. `hash` is SHA-256 of the JSON of the rest, keys in order."""

    id: str
    customer_id: str
    requested_at: str
    completed_at: str
    destroyed: Mapping[str, int]
    kept: Mapping[str, str]
    hash: str = ""


KEPT: Mapping[str, str] = {
    "ledger": "decisions stay, with amounts, vectors, keyed hashes and ciphertext that no key opens any more",
    "log": "is re-filed under a pseudonym by the next run of the flow `customers`, or before a live state is rebuilt",
    "backups": "hold the wrapped key until they expire",
}


class Reached(NamedTuple):
    """How far an export has come: to a purchase by its time and id, or, where that is None, past all of them and to
    this number of the log."""

    purchase: Place | None
    number: int = 0


class Export(msgspec.Struct, frozen=True):
    """A page of all that is held of a customer. `purchases` were decided here, `events` came by imports and streams;
    `sources`: what was looked through (the log only where it lies on this machine)."""

    customer: Customer | None
    purchases: tuple[dict[str, Any], ...]
    events: tuple[dict[str, Any], ...]
    sources: tuple[str, ...]
