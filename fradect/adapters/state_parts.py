"""What both live states share: an arrival made ready for its keys, the marks of a scope, and who has adopted what."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from fradect.errors import Conflict, InvalidInput, Unavailable
from fradect.features.held import Held, Learnt, key_of, outcome_rows, records
from fradect.features.layout import EntityLayout, Layout
from fradect.types import DAY, Event

KEPT = 7 * DAY
"""For so long a repeated event or outcome is known for one."""

PARTS = ("rows", "fresh", "tiles", "outcomes", "matured")
"""A Held's fields, in the order in which both adapters list them."""

NOTHING = Held()

Progress = Callable[[str, float], None]
"""Told of a stage and the share that is done."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a scope has come.

    `last_seq`: the highest number given; `newest`: the latest event time that arrived; `confirmed_seq`: up to where
    every arrival has its event in the log; `log_seq`: up to where the state was built from the Parquet log, -1 when it
    must be built before it is relied on; `layout`: the digest of what it is kept as.
    """

    last_seq: int = 0
    newest: int = 0
    confirmed_seq: int = 0
    log_seq: int = -1
    layout: str = ""


class Draft(NamedTuple):
    """What an event or an outcome adds to one entity's key; a number that it has not yet is written into it later."""

    entity: EntityLayout
    key: bytes
    row: bytes


class Spread(NamedTuple):
    """Bytes that one entity's keys take: how many keys, their sum, and quantiles of a key's own."""

    keys: int
    total: int
    mean: float
    p50: int
    p99: int
    highest: int


@dataclass(frozen=True, slots=True)
class Size:
    """What a scope takes, by entity; `markers`: events that would be known again; `waiting`: not confirmed."""

    entities: dict[str, Spread]
    markers: int
    waiting: int

    @property
    def keys(self) -> int:
        return sum(spread.keys for spread in self.entities.values())

    @property
    def total(self) -> int:
        return sum(spread.total for spread in self.entities.values())


@dataclass(frozen=True, slots=True)
class Filling:
    """All that a rebuilt scope holds. Its numbers go on after `mark.last_seq`, or where they had come to.

    `held`: entity, key and bytes, each key once. `markers`: id, number and time of events that may still be repeated;
    `learnt`: kind, event's id, time and number of outcomes that may be.
    """

    mark: Mark
    held: Iterable[tuple[str, bytes, Held]]
    markers: Iterable[tuple[bytes, int, int]]
    learnt: Iterable[tuple[str, bytes, int, int]]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild took in: events and outcomes of the log that windows reach, keys, and events that SQL alone had.

    `last_seq`: the number after which arrivals go on.
    """

    events: int
    outcomes: int
    keys: int
    applied: int
    last_seq: int
    seconds: float


def not_adopted(tenant_id: str, module: str) -> Unavailable:
    return Unavailable(
        f"the live state of {module} for {tenant_id} is kept for no contract yet: promote a release, or run "
        "fradect state rebuild"
    )


def check_names(tenant_id: str, module: str) -> None:
    """What keys are made of must not run into what follows."""
    for name, value in (("tenant", tenant_id), ("module", module)):
        if not _NAME.fullmatch(value):
            raise InvalidInput(f"{name} {value!r}: letters, digits, '_', '-' and '.' only", field=name)


def superseded(tenant_id: str, module: str) -> Unavailable:
    return Unavailable(
        f"the live state of {module} for {tenant_id} is kept for another contract by now: restart what still runs the "
        "older release"
    )


def other_fields(event: Event) -> Conflict:
    return Conflict(f"event {event.event_id!r} has arrived before with other fields: use a new id")


def rebuilding(tenant_id: str, module: str) -> Unavailable:
    return Unavailable(f"the live state of {module} for {tenant_id} is being rebuilt; try again in a minute")


def raw(text: str) -> bytes:
    """Any text at all, as bytes that order as the text does."""
    return text.encode(errors="surrogatepass")


def text(data: bytes) -> str:
    return data.decode(errors="surrogatepass")


def drafts(layout: Layout, event: Event) -> list[Draft]:
    """One for each entity that the event names."""
    return [Draft(entity, raw(key), row) for entity, key, row in records(layout, event, 0)]


def told(layout: Layout, learnt: Learnt) -> list[Draft]:
    """One for each entity whose windows look at the outcome, with all its rows."""
    made = []
    for entity in layout.sourced:
        key = key_of(entity, learnt.event)
        if key is not None and (rows := outcome_rows(entity, learnt)):
            made.append(Draft(entity, raw(key), rows))
    return made


def numbered(row: bytes, seq: bytes) -> bytes:
    """The row under its number, which is given as its eight bytes."""
    return row[:8] + seq + row[16:]


def fingerprint(made: Sequence[Draft]) -> bytes:
    """Tells events apart by all that the state reads of them, their time aside."""
    return digest_of(
        b"%b:%d:%b%b" % (entity.entity.encode(), len(key), key, row[16:])  # a row's length is its entity's
        for entity, key, row in made
    )


def digest_of(parts: Iterable[bytes]) -> bytes:
    """A fingerprint of parts that are spelt already."""
    return blake2b(b"".join(parts), digest_size=12).digest()


def pack_keys(made: Sequence[Draft]) -> bytes:
    """Entities and keys, so that an arrival can be undone by its id alone."""
    named = [(entity.entity.encode(), key) for entity, key, _ in made]
    return b"".join([b"%d:%b%d:%b" % (len(entity), entity, len(key), key) for entity, key in named])


def unpack_keys(packed: bytes) -> list[tuple[str, bytes]]:
    parts: list[bytes] = []
    at = 0
    while at < len(packed):
        end = packed.index(b":", at)
        start = end + 1
        at = start + int(packed[at:end])
        parts.append(packed[start:at])
    return [(entity.decode(), key) for entity, key in zip(parts[::2], parts[1::2], strict=True)]


def spread_of(lengths: Sequence[int]) -> Spread:
    ordered = sorted(lengths)
    n, total = len(ordered), sum(ordered)
    at = [ordered[min(n - 1, int(n * share))] for share in (0.5, 0.99)]
    return Spread(n, total, total / n, at[0], at[1], ordered[-1])
