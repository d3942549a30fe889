"""What the core needs from the outside, each as small as its user allows. Adapters live in fradect/adapters."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import msgspec

from fradect.errors import FradectError
from fradect.features.held import Seen
from fradect.features.live import Snapshot, View
from fradect.pairs import Pair, PairColumns
from fradect.release import Release
from fradect.rollout import Rollout
from fradect.types import Decision, Event, Value


class Arrival(msgspec.Struct, frozen=True):
    """One event's entry into the live state: its number and time there, and what the state showed it.

    `event_time`: of the first arrival, which a repeat without a time of its own takes over. `newest`: the time of
    the newest event by then. `layout`: the digest of what the state is kept as.
    """

    seq: int
    event_time: int
    newest: int
    seen: Seen
    layout: str = ""

    @property
    def view(self) -> View:
        return View(self.seq, self.newest, self.seen, self.layout)


class Errand(Protocol):
    """A read that an arrival takes along on its own way: of the same server, or, without commands, of a file."""

    @property
    def commands(self) -> Sequence[Sequence[str | bytes]]: ...

    def bring(self, answers: Sequence[Any]) -> None:
        """The answer to each command, an exception where the server refused it. Reads a file now. Raises nothing."""
        ...

    def snapshot(self) -> Snapshot:
        """Unavailable when nothing was brought, or an answer was an error."""
        ...


class Arriving(NamedTuple):
    """An event on its way into the live state."""

    event: Event
    errand: Errand | None = None


class LiveState(Protocol):
    """Recent events by entity, and the one giver of sequence numbers.

    Each (tenant, module) is a scope of its own, kept as the layout that was `adopt`ed for it. A scope that was not
    adopted, or is being rebuilt, is Unavailable.
    """

    def arrive_many(self, arriving: Sequence[Arriving], /) -> Sequence[Arrival | FradectError]:
        """Append, take a number, read the event's entities: one atomic step for each, in this order. Errands are no
        part of it.

        A repeat gets the number of the first time and what was there by then; Conflict when it is another event
        under the same id. What is wrong with one is its own answer; what is raised is everybody's.
        """
        ...

    def withdraw(self, event: Event) -> None:
        """Undo an arrival whose decision was never committed."""
        ...


class BatchFeatures(Protocol):
    """Customer snapshots, as the feature store serves them."""

    def errand(self, event: Event) -> Errand | None:
        """The same read for an arrival to take along, where both are on one server; None where they are not."""
        ...

    def read(self, event: Event) -> Snapshot:
        """The snapshot current at the event; absent values carry their reason."""
        ...


class Signals(Protocol):
    """What lists and outside sources say of an event. From memory: whoever asks is waiting for nothing else."""

    def of(self, event: Event) -> Mapping[str, Value]:
        """By the names that rules use after `signal.`; what is not known is left out. Unavailable when nothing is."""
        ...


class Stored(msgspec.Struct, frozen=True):
    """A decision as the ledger holds it: the digest of the request it answers, the answer's bytes, and its event."""

    decision_id: str
    request_digest: str
    answer: bytes
    event_id: str


class DataKey(Protocol):
    """A customer's own key. Unless it `is_stored` it has to be stored together with what was sealed under it."""

    is_stored: bool

    def row(self) -> Mapping[str, Any]:
        """What is stored of it."""
        ...

    def seal(self, field: str, row: str, text: str) -> str: ...


class Record(msgspec.Struct, frozen=True):
    """What one decision writes. `subject`: what the event is called (Module.subject); `options`: of the request.

    `idempotency_key`: SHA-256, in hexadecimal, of the caller's key.
    """

    event: Event
    decision: Decision
    subject: str
    request_digest: str
    options: Mapping[str, bool]
    answer: bytes
    idempotency_key: str | None = None
    data_key: DataKey | None = None


class Asked(msgspec.Struct, frozen=True):
    """An event that may have been decided already, by its id or by the caller's key (as in Record)."""

    tenant_id: str
    module: str
    event_id: str
    idempotency_key: str | None = None


class Ledger(Protocol):
    """Decisions, written once, many at a time."""

    def find_many(self, asked: Sequence[Asked]) -> Sequence[Stored | None]:
        """For each what is stored, the key's event before the id's; Unavailable when the ledger is gone."""
        ...

    def commit_many(self, records: Sequence[Record]) -> Sequence[Stored | FradectError]:
        """For each what is durable by now: event, decision and outbox row in one transaction.

        The loser of a race gets the stored decision, a record that cannot be stored an error of its own. Unavailable
        where it was not stored, Uncertain where that is not known.
        """
        ...


class ReleaseStore(Protocol):
    """Releases by id, and who decides for each module and tenant: one rollout each, replaced whole."""

    def save(self, release: Release) -> None: ...

    def load(self, release_id: str) -> Release:
        """Digests are checked before anything is parsed; a mismatch is Refused."""
        ...

    def champion(self, module: str, tenant_id: str) -> str | None: ...

    def champions(self) -> Mapping[tuple[str, str], str]:
        """Every champion by module and tenant."""
        ...

    def rollout(self, module: str, tenant_id: str) -> Rollout | None: ...

    def rollouts(self) -> Mapping[tuple[str, str], Rollout]:
        """By module and tenant; one that cannot be read is left out."""
        ...

    def promote(self, module: str, tenant_id: str, release_id: str) -> None:
        """Name a champion at once. Conflict while a challenger is tried."""
        ...

    def move(self, module: str, tenant_id: str, after: Rollout) -> None:
        """The next rollout, if nobody went on meanwhile: Conflict then. Its releases are read whole before."""
        ...

    def history(self, module: str, tenant_id: str) -> Sequence[Rollout]:
        """Oldest first, the present one last."""
        ...

    def ids(self) -> tuple[str, ...]: ...


class Vault(Protocol):
    """Personal data: a keyed token to find equals by, and a ciphertext bound to its place."""

    def token(self, tenant_id: str, field: str, text: str) -> str: ...

    def key_of(self, tenant_id: str, customer: str) -> DataKey:
        """At once, from memory; a key that is not stored yet where none is known."""
        ...

    def keys_of(self, tenant_id: str, customers: Iterable[str]) -> Mapping[str, DataKey]:
        """For bulk: keys that are stored when it returns; none where there is nowhere to store them."""
        ...

    def seal(self, tenant_id: str, field: str, row: str, text: str) -> str: ...

    def open(self, tenant_id: str, field: str, row: str, cipher: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: every query is bound to the tenant, every route to a permission. `id`: of the key, or of a token's
    issuer and subject."""

    tenant_id: str
    permissions: frozenset[str]
    id: str = ""

    def may(self, permission: str) -> bool:
        return permission in self.permissions or "*" in self.permissions


class Callers(Protocol):
    """Who a key belongs to."""

    def find(self, key: str) -> Caller | None:
        """None for a key that is unknown, revoked or malformed; which of these takes the same time to say."""
        ...


@dataclass(frozen=True, slots=True)
class Measurement:
    """A figure that batch work measured, for /metrics. Names and labels as Prometheus writes them."""

    name: str
    labels: Mapping[str, str]
    value: float
    measured_at: int


class Pairs(Protocol):
    """What two releases said of the same events, for whoever judges the one that is tried."""

    def record(self, made: Sequence[Pair]) -> None:
        """Keep them, all or none: Unavailable then."""
        ...

    def forget(self, before: int) -> int:
        """Drop those decided before a time (microseconds); how many."""
        ...

    def of(self, tenant_id: str, module: str, challenger: str, champion: str) -> PairColumns:
        """All of a challenger beside this champion, in the order in which they were decided."""
        ...


class Measurements(Protocol):
    """Figures from batch work to whoever shows them."""

    def record(self, measurement: Measurement) -> None: ...

    def latest(self) -> tuple[Measurement, ...]:
        """The newest of each name and labels."""
        ...
