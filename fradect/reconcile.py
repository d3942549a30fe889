"""The live state brought into line with what is stored in SQL, which is the truth.

Four things can part them: a crash between arrival and commit leaves an arrival without its event; a power cut takes the
end of the state's file; an event that was decided while the state was away never arrived in it; and one that was given
up may be stored after all. Several processes may do this on one state at the same time.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from fradect.types import SECOND, Event

GRACE = 60 * SECOND
"""For so long an arrival may go without its event: longer than any request may take."""

REMEMBERED = 3_600 * SECOND
"""For so long what was given up is looked for again."""


class Waiting(NamedTuple):
    """An arrival that is not known to be stored: an event, or, by its `kind`, an outcome of that event.

    `since`: when it arrived, by the state's own clock.
    """

    seq: int
    event_id: str
    since: int
    kind: str = ""


class Arrivals(Protocol):
    """The live state's side. Arrivals up to the confirmed mark are known to have their event."""

    def now(self) -> int: ...

    def confirmed(self, tenant_id: str, module: str) -> int: ...

    def confirm_exactly(self, tenant_id: str, module: str, seq: int, waiting: int) -> bool:
        """False, and nothing, unless so many arrivals wait up to the number."""
        ...

    def unconfirmed(self, tenant_id: str, module: str) -> list[Waiting]:
        """In order of numbers."""
        ...

    def known(self, tenant_id: str, module: str, event_ids: Sequence[str]) -> set[str]:
        """Which of them have arrived."""
        ...

    def withdraw_id(self, tenant_id: str, module: str, event_id: str, kind: str = "") -> None: ...

    def apply(self, event: Event, seq: int | None = None) -> int:
        """Append under the number, or a new one; idempotent by event id, whose number is returned."""
        ...


class Placed(Protocol):
    """An event that is stored under a number."""

    @property
    def seq(self) -> int: ...

    @property
    def event(self) -> Event: ...


class Stored(Protocol):
    """SQL's side."""

    def decided(self, tenant_id: str, module: str, event_ids: Sequence[str]) -> set[str]:
        """Which of them are stored, with a number or without."""
        ...

    def told(self, tenant_id: str, module: str, event_ids: Sequence[str]) -> set[tuple[str, str]]:
        """Event and kind of their outcomes that are stored under a number."""
        ...

    def find(self, tenant_id: str, module: str, event_ids: Sequence[str]) -> Mapping[str, Placed]:
        """Those that are stored under a number."""
        ...

    def numbers_after(self, tenant_id: str, module: str, seq: int) -> Iterator[Sequence[tuple[int, str]]]:
        """Number and id of each that has a higher number, some at a time."""
        ...

    def unplaced(self, tenant_id: str, module: str) -> list[Event]: ...

    def place(self, event: Event, seq: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was out of line; `waiting`: arrivals that may still be stored."""

    withdrawn: int = 0
    applied: int = 0
    placed: int = 0
    waiting: int = field(default=0, compare=False)

    def __bool__(self) -> bool:
        return bool(self.withdrawn or self.applied or self.placed)


class Reconciler:
    """Compares the two, and confirms what agrees. An arrival has `grace` (microseconds) to be stored."""

    def __init__(self, state: Arrivals, stored: Stored, grace: int = GRACE) -> None:
        self._state = state
        self._stored = stored
        self._grace = grace
        self._given_up: dict[tuple[str, str], dict[str, int]] = {}

    def at_start(self, tenant_id: str, module: str, *, alone: bool) -> Repaired:
        """Before anybody is served. `alone`: nobody else uses the state, so what is not stored is a leftover."""
        return self._compare(tenant_id, module, 0 if alone else self._grace)

    def meanwhile(self, tenant_id: str, module: str) -> Repaired:
        """The same while requests are served, here or elsewhere."""
        return self._compare(tenant_id, module, self._grace)

    def _compare(self, tenant_id: str, module: str, grace: int) -> Repaired:
        scope = (tenant_id, module)
        placed = self._place(scope)
        confirmed = self._state.confirmed(*scope)
        waiting = self._state.unconfirmed(*scope)
        unseen = {one.event_id for one in waiting if not one.kind}
        applied, last = self._meet(scope, confirmed, unseen)
        undecided = self._undecided(scope, waiting, unseen)
        late = self._state.now() - grace
        gone = {one.seq: one for one in undecided if one.since <= late}
        self._withdraw(scope, list(gone.values()))
        applied += self._revive(scope)
        pending = [one.seq for one in undecided if one.since > late]
        left = [one.seq for one in waiting if one.seq not in gone]
        self._confirm(scope, left, _ends(confirmed, last, left, min(pending, default=None)))
        return Repaired(len(gone), applied, placed, len(pending))

    def _meet(self, scope: tuple[str, str], confirmed: int, unseen: set[str]) -> tuple[int, int]:
        """What is stored and has not arrived arrives now, and who is found stored is `unseen` no more. How many
        had not arrived, and the highest number."""
        applied, last = 0, confirmed
        for page in self._stored.numbers_after(*scope, confirmed):
            last = max(last, page[-1][0])
            there = {event_id for _, event_id in page}
            strange = there - unseen
            unseen -= there
            if strange:
                applied += self._apply(scope, list(strange))
        return applied, last

    def _apply(self, scope: tuple[str, str], event_ids: Sequence[str]) -> int:
        missing = set(event_ids) - self._state.known(*scope, event_ids)
        found = self._stored.find(*scope, list(missing)) if missing else {}
        for stored in sorted(found.values(), key=lambda one: one.seq):
            self._state.apply(stored.event, stored.seq)
        return len(found)

    def _undecided(self, scope: tuple[str, str], waiting: Sequence[Waiting], unseen: set[str]) -> list[Waiting]:
        """Who is not stored; those apart that are `unseen`, an event may be without a number."""
        events = unseen - self._stored.decided(*scope, list(unseen)) if unseen else unseen
        about = [one.event_id for one in waiting if one.kind]
        told = self._stored.told(*scope, about) if about else set()
        if not events and not about:
            return []
        return [
            one for one in waiting if ((one.event_id, one.kind) not in told if one.kind else one.event_id in events)
        ]

    def _place(self, scope: tuple[str, str]) -> int:
        """Events that were decided without the live state take their numbers now."""
        unplaced = self._stored.unplaced(*scope)
        for event in unplaced:
            self._stored.place(event, self._state.apply(event))
        return len(unplaced)

    def _withdraw(self, scope: tuple[str, str], gone: Sequence[Waiting]) -> None:
        given_up = self._given_up.setdefault(scope, {})
        now = self._state.now() if gone else 0
        for one in gone:
            self._state.withdraw_id(*scope, one.event_id, one.kind)
            if not one.kind:  # who stores an outcome tells it once more
                given_up[one.event_id] = now

    def _revive(self, scope: tuple[str, str]) -> int:
        """What was given up and is stored after all."""
        given_up = self._given_up.get(scope)
        if not given_up:
            return 0
        found = self._stored.find(*scope, list(given_up))
        for event_id, stored in found.items():
            self._state.apply(stored.event, stored.seq)
            del given_up[event_id]
        oldest = self._state.now() - REMEMBERED
        for event_id in [event_id for event_id, since in given_up.items() if since < oldest]:
            del given_up[event_id]
        return len(found)

    def _confirm(self, scope: tuple[str, str], waiting: Sequence[int], ends: Iterable[int]) -> None:
        """Up to the first of the ends before which nobody came or went meanwhile."""
        for end in ends:
            if self._state.confirm_exactly(*scope, end, bisect_right(waiting, end)):
                return


def _ends(confirmed: int, last: int, waiting: Sequence[int], pending: int | None) -> Iterator[int]:
    """Up to where all that is stored has arrived, and the other way about: best to the last number that is stored, but
    more may have arrived since one looked who waits."""
    highest = waiting[-1] if waiting else confirmed
    ends = [max(last, highest), highest] if pending is None else [pending - 1]
    return (end for end in dict.fromkeys(ends) if end > confirmed)
