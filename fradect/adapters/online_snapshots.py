"""A customer's snapshot as the feature store has it online: read, and judged by its age."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from fradect.adapters.feast_format import number
from fradect.adapters.feast_online import Cell, Filled, Held, RedisOnline, open_online
from fradect.adapters.online_address import address_of
from fradect.adapters.places import Places
from fradect.adapters.pseudonyms import Pseudonyms
from fradect.errors import Refused, Unavailable
from fradect.features.contract import Contract, Kind
from fradect.features.live import Snapshot
from fradect.features.snapshots import TTL
from fradect.modules.declaration import Module
from fradect.types import DAY, Event

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEWER = "the customer's snapshot is newer than the event"
"""Online there is one snapshot a customer: what was known at an earlier event cannot be told any more."""
ELSEWHERE = "customer snapshots were put online under another home's key: set FRADECT_VAULT_KEY alike, and materialise"


class OnlineSnapshots:
    """Implements the port BatchFeatures over what Feast materialised; safe for threads.

    `beside`: the URL of the live state, whose arrivals take the read along where it is on the same Redis.
    """

    def __init__(  # noqa: PLR0913, PLR0917  one of them with a default
        self,
        url: str,
        places: Places,
        module: Module,
        contract: Contract,
        freshness_days: int = 7,
        beside: str | None = None,
    ) -> None:
        self._tenant = places.tenant
        self._owner = module.entities.get("customer")
        self._names = tuple(feature.name for feature in contract.of_kind(Kind.BATCH))
        self._freshness = freshness_days * DAY
        self._online = open_online(url, places, self._names)
        self._pseudonyms = Pseudonyms(places)
        self._told: tuple[bytes, Filled] | None = None
        is_beside = beside is not None and address_of(beside) == address_of(url)
        self._is_beside = is_beside or not isinstance(self._online, RedisOnline)

    def errand(self, event: Event) -> "SnapshotErrand | FileErrand | None":
        customer = event.fields.get(self._owner) if self._owner else None
        if not self._is_beside or customer is None or not self._names or event.tenant_id != self._tenant:
            return None
        if isinstance(self._online, RedisOnline):
            return SnapshotErrand(self._online, self._pseudonyms.of(str(customer)), partial(self._seen, event))
        return FileErrand(partial(self._online.read, self._pseudonyms.of(str(customer))), partial(self._seen, event))

    def read(self, event: Event) -> Snapshot:
        """The customer's newest snapshot. Features are missing when the event names no customer or the store was
        not brought up to date for `freshness_days`, or has gone past the event; a customer without a snapshot has
        none, and nothing missing."""
        if event.tenant_id != self._tenant:
            raise Refused(f"the feature store of tenant {self._tenant!r} was asked for another tenant's event")
        customer = event.fields.get(self._owner) if self._owner else None
        if customer is None:
            return self._without("the event names no customer")
        if not self._names:
            return Snapshot({}, {})
        return self._seen(event, self._online.read(self._pseudonyms.of(str(customer))))

    def _seen(self, event: Event, held: Held) -> Snapshot:
        raw, cells = held
        if raw is None:
            return self._without("customer snapshots were never materialised")
        filled = self._filled(raw)
        if filled.key_id != self._pseudonyms.key_id:
            return self._without(ELSEWHERE)
        stale = self._stale(filled, event.event_time)
        return self._of(filled, cells, event.event_time) if stale is None else self._without(stale)

    def close(self) -> None:
        self._online.close()

    def _of(self, filled: Filled, cells: Mapping[str, Cell], now: int) -> Snapshot:
        values: dict[str, float] = {}
        missing: dict[str, str] = {}
        for name in self._names:
            if name not in filled.features:
                missing[name] = "the feature store does not hold it"
            elif name in cells:
                cell, at = cells[name]
                if at > now:
                    missing[name] = NEWER
                    continue
                value = number(cell) if at >= now - TTL else None
                if value is not None:
                    values[name] = value
        return Snapshot(values, missing)

    def _without(self, reason: str) -> Snapshot:
        return Snapshot({}, dict.fromkeys(self._names, reason))

    def _filled(self, raw: bytes) -> Filled:
        """Understood once: it changes once a day."""
        told = self._told
        if told is None or told[0] != raw:
            told = self._told = raw, Filled.from_bytes(raw)
        return told[1]

    def _stale(self, filled: Filled, now: int) -> str | None:
        age = now - filled.until
        if age <= self._freshness:
            return None
        return (
            f"customer snapshots are of {_EPOCH + timedelta(microseconds=filled.until):%Y-%m-%d}, {age // DAY} days old"
        )


class SnapshotErrand:
    """Implements the port Errand."""

    def __init__(self, online: RedisOnline, customer: str, seen: Callable[[Held], Snapshot]) -> None:
        self.commands = online.commands(customer)
        self._online, self._seen = online, seen
        self._answers: Sequence[Any] | None = None

    def bring(self, answers: Sequence[Any]) -> None:
        self._answers = answers

    def snapshot(self) -> Snapshot:
        if self._answers is None:
            raise Unavailable("the live state did not answer, nor the feature store beside it")
        return self._seen(self._online.understood(self._answers))


_UNREADABLE = (OSError, TypeError, ValueError, OverflowError)  # the file, and cells that hold anything but Feast's


class FileErrand:
    """Implements the port Errand over a file, which is read when it is brought: not in the event loop's thread."""

    commands: Sequence[Sequence[bytes]] = ()

    def __init__(self, read: Callable[[], Held], seen: Callable[[Held], Snapshot]) -> None:
        self._read, self._seen = read, seen
        self._found: Held | Exception = Unavailable("the feature store was not asked: the live state was away")

    def bring(self, _answers: Sequence[Any]) -> None:
        try:
            self._found = self._read()
        except (Unavailable, *_UNREADABLE) as error:  # raised again by `snapshot`: others' arrivals hang on this call
            self._found = error

    def snapshot(self) -> Snapshot:
        if isinstance(self._found, Exception):
            raise self._found
        return self._seen(self._found)
