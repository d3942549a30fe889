"""Exploration: a few declines are let through by chance, and it is written down by which.

What is declined never shows what it would have been, so the quality of declines can only be guessed from what was let
through. Drawn by a known chance, a few tell of all (training/declined.py). Off unless a policy has terms for it.
"""

import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from fradect.judgement import Judgement, Loaded
from fradect.policy import Exploration
from fradect.types import DAY, SECOND, Action, Event, Factor, Value, Vector

FACTOR = "exploration"
HEARD_WITHIN = 60 * SECOND  # what was let through elsewhere; unheard for longer, nothing is let through
_OVERLAP = 5 * SECOND  # a decision may be stored so much later than it was made
_UNITS = 2**64

Scope = tuple[str, str]
"""Tenant and module."""


class Case(NamedTuple):
    """A judgement and what it was made of. `signals` is None where the lists did not answer."""

    event: Event
    vector: Vector
    signals: Mapping[str, Value] | None
    judgement: Judgement


def chance(release: Loaded, case: Case) -> float | None:
    """By what chance the release lets this through; None for all that is never drawn.

    Drawn are declines by score alone, made with everything at hand, of an amount that is known and small enough. Never
    what a rule asked more of than points, what is on a list, or what was decided without something.
    """
    terms, judgement = release.policy.exploration, case.judgement
    if terms is None or judgement.action is not Action.DECLINE or judgement.degraded:
        return None
    amount = case.event.fields.get("amount_base")
    if not isinstance(amount, int) or not 0 <= amount <= terms.most_amount:
        return None
    if case.signals is None or any(value is True for value in case.signals.values()):
        return None
    findings = release.rules.find(case.event, case.vector, case.signals)
    return None if findings.broken or findings.effects.floor > Action.APPROVE else terms.share


def is_drawn(share: float, event: Event, mac: Callable[[bytes], bytes]) -> bool:
    """The same for an event however often it is asked. `mac`: a keyed hash, so that nobody outside can tell."""
    drawn = mac(f"exploration\0{event.tenant_id}\0{event.module}\0{event.event_id}".encode())
    return int.from_bytes(drawn[:8], "big") < share * _UNITS


def let_through(judgement: Judgement, propensity: float) -> Judgement:
    """The same, approved; a factor for no points says why."""
    text = f"a decline, let through by a chance of {propensity:.2%} to learn what declines would have been"
    factor = Factor(FACTOR, 0, text, "policy", propensity)
    return msgspec.structs.replace(judgement, action=Action.APPROVE, factors=(*judgement.factors, factor))


class Explorer:
    """Draws for one process, and keeps to what may be let through in a day.

    What all processes let through is in the ledger, and is `heard` every few seconds; what this one did since is added.
    So a restart changes nothing, and several processes go over the day's most by no more than what the others let
    through between two hearings. Before the first hearing of a day nothing is let through.
    """

    def __init__(self, mac: Callable[[bytes], bytes], now: Callable[[], int]) -> None:
        self._mac, self._now = mac, now
        self._lock = threading.Lock()
        self._heard: Mapping[Scope, int] = {}
        self._heard_at = -DAY
        self._own: list[tuple[int, Scope, int]] = []  # when, whose, how much

    def hear(self, stored: Mapping[Scope, int], since: int) -> None:
        """`stored`: amounts let through today, as the ledger had them; `since`: when it was asked."""
        with self._lock:
            self._heard, self._heard_at = stored, since
            self._own = [one for one in self._own if one[0] >= since - _OVERLAP]

    def explored(self, release: Loaded, case: Case) -> tuple[Judgement, float | None]:
        """What is decided, and by what chance it could be let through; None where nothing was drawn."""
        propensity, terms = chance(release, case), release.policy.exploration
        if propensity is None or terms is None or not self._has_room(terms, case.event):
            return case.judgement, None
        if not is_drawn(propensity, case.event, self._mac):
            return case.judgement, propensity
        with self._lock:
            self._own.append((self._now(), _scope(case.event), _amount(case.event)))
        return let_through(case.judgement, propensity), propensity

    def _has_room(self, terms: Exploration, event: Event) -> bool:
        now, scope = self._now(), _scope(event)
        with self._lock:
            if now // DAY != self._heard_at // DAY or now - self._heard_at > HEARD_WITHIN:
                return False
            own = sum(amount for at, whose, amount in self._own if whose == scope and at // DAY == now // DAY)
            return self._heard.get(scope, 0) + own + _amount(event) <= terms.most_a_day


def _scope(event: Event) -> Scope:
    return event.tenant_id, event.module


def _amount(event: Event) -> int:
    amount = event.fields["amount_base"]
    return amount if isinstance(amount, int) else 0
