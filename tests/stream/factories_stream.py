"""A small shop's stream: its messages, a live state in a file, and an ingestion put together from parts."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from fradect.adapters.event_log import EventLog
from fradect.adapters.logged_events import LoggedEvents
from fradect.adapters.shared_sql import open_shared
from fradect.adapters.sql_events import SqlEvents
from fradect.adapters.state_sources import Rebuilder
from fradect.adapters.state_upkeep import Upkeep
from fradect.adapters.states import open_state
from fradect.adapters.stream_sql import SqlStreamStore
from fradect.adapters.stream_state import StreamState
from fradect.adapters.tables import outcomes, stream_events, stream_offsets
from fradect.adapters.vault import HomeVault
from fradect.errors import Unavailable
from fradect.features.layout import layout_of
from fradect.intake import Terms
from fradect.mapping import Mapping
from fradect.reconcile import Reconciler
from fradect.stream import Delivery, Ingest, Kind, Learnt, Letter, Message, Options, Part, Place, Portion, Source, Tools
from fradect.types import Event
from tests.adapters.factories_import import row, rules

SHOP = ("shop", "ecommerce")
DEFAULTS = Options()


def message(i: int, **given: Any) -> bytes:
    """Purchase `i` as a producer would send it."""
    made = row(i, **given)
    return json.dumps({name: value for name, value in made.items() if value != ""}).encode()


def verdict(
    i: int, value: bool = True, kind: str = "fraud", known_at: str = "2024-03-20T12:00:00Z", **more: Any
) -> bytes:
    """What became known of purchase `i`."""
    return json.dumps({"event_id": f"t{i}", "kind": kind, "value": value, "known_at": known_at, **more}).encode()


class FileState:
    """The live state's side of a stream: numbers by event id and outcomes learnt, durable in a file of its own."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS arrived (event_id TEXT PRIMARY KEY, seq INTEGER, happened INTEGER)"
        )
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS learnt (event_id TEXT, kind TEXT, value INTEGER, number INTEGER, "
            "PRIMARY KEY (event_id, kind))"
        )
        self._db.execute("CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY, last INTEGER)")
        self._db.execute("INSERT OR IGNORE INTO counter VALUES (1, 0)")

    def apply_many(self, events: Sequence[Event]) -> list[int]:
        return [self._apply(event) for event in events]

    def reserve(self, _tenant_id: str, _module: str, count: int) -> int:
        query = "UPDATE counter SET last = last + ? RETURNING last"
        return int(self._db.execute(query, (count,)).fetchone()[0]) - count + 1

    def learn(self, told: Sequence[Learnt]) -> list[int]:
        return [self._learn(one) for one in told]

    def withdraw_id(self, _tenant_id: str, _module: str, event_id: str, kind: str = "") -> None:
        if kind:
            self._db.execute("DELETE FROM learnt WHERE event_id = ? AND kind = ?", (event_id, kind))
        else:
            self._db.execute("DELETE FROM arrived WHERE event_id = ?", (event_id,))

    def close(self) -> None:
        self._db.close()

    def numbers(self) -> dict[str, int]:
        return dict(self._db.execute("SELECT event_id, seq FROM arrived").fetchall())

    def learnt(self) -> dict[tuple[str, str], tuple[bool, int]]:
        rows = self._db.execute("SELECT event_id, kind, value, number FROM learnt").fetchall()
        return {(event_id, kind): (bool(value), number) for event_id, kind, value, number in rows}

    def _learn(self, one: Learnt) -> int:
        about = (one.event.event_id, str(one.kind))
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            found = self._db.execute("SELECT number FROM learnt WHERE event_id = ? AND kind = ?", about).fetchone()
            if found is None:
                found = (one.number or self.reserve(*SHOP, 1),)
                self._db.execute("INSERT INTO learnt VALUES (?, ?, ?, ?)", (*about, one.value, *found))
            self._db.execute("COMMIT")
        return int(found[0])

    def _apply(self, event: Event) -> int:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            query = "SELECT seq FROM arrived WHERE event_id = ?"
            found = self._db.execute(query, (event.event_id,)).fetchone()
            if found is None:
                seq = self.reserve(*SHOP, 1)
                self._db.execute("INSERT INTO arrived VALUES (?, ?, ?)", (event.event_id, seq, event.event_time))
            self._db.execute("COMMIT")
        return seq if found is None else int(found[0])


class RealState:
    """The live state itself, as a stream feeds it, in the same file as any other process's."""

    def __init__(self, home: Path, shared: sa.Engine, stored: SqlEvents, url: str = "") -> None:
        """`url`: of another place than the file that `numbers` and `learnt` look into."""
        self._path, self._stored = home / "state.db", stored
        self.layout = layout_of(rules().module, rules().contract)
        self._live = open_state(url or f"sqlite:///{self._path}")
        self._rebuilt = open_state(f"sqlite:///{home}/rebuilt.db")
        self._rebuilder = Rebuilder(self._rebuilt, home, shared, stored)
        self._anew = Rebuilder(self._live, home, shared, stored)
        upkeep = Upkeep(self._live, home, stored, self._anew.rebuild, alone=False)
        fed = StreamState(self._live, upkeep, SHOP[0], lambda: self.layout, lambda: stored.highest(*SHOP))
        self.apply_many, self.learn = fed.apply_many, fed.learn
        self.withdraw_id, self.confirm, self.begin = fed.withdraw_id, fed.confirm, fed.begin
        self.begin()

    def lose(self) -> None:
        """All of it, as if its place had been emptied."""
        self._live.drop(*SHOP)

    def make_anew(self) -> None:
        self._anew.rebuild(SHOP[0], self.layout)

    def confirmed(self) -> int:
        return self._live.confirmed(*SHOP)

    def numbers(self) -> dict[str, int]:
        rows = self._rows("SELECT event_id, seq FROM markers")
        return {event_id.decode(): seq for event_id, seq in rows}

    def learnt(self) -> set[tuple[str, str]]:
        return {(event_id.decode(), kind) for event_id, kind in self._rows("SELECT event_id, kind FROM learnt")}

    def contents(self) -> tuple[list[Any], list[Any]]:
        """Every byte that it holds, and every byte of one made anew from log and SQL."""
        self.confirm()
        self._rebuilder.rebuild(SHOP[0], self.layout)
        Reconciler(self._rebuilt, self._stored).meanwhile(*SHOP)
        for state in (self._live, self._rebuilt):
            state.settle_all(*SHOP)
        return list(self._live.dump(*SHOP)), list(self._rebuilt.dump(*SHOP))

    def close(self) -> None:
        self._live.close()
        self._rebuilt.close()

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._path)) as db:
            return db.execute(query).fetchall()


@dataclass
class ListSource:
    """Messages that are there from the start, handed out so many at a time, positions kept by the store."""

    positions: Callable[[], dict[Part, int]]
    events: Sequence[bytes | None]
    outcomes: Sequence[bytes | None] = ()
    most: int = 5
    recovered: int = 0
    rested: list[float] = field(default_factory=list)

    def poll(self, _seconds: float) -> Delivery | None:
        stored = self.positions()
        portions, starts, ends = [], {}, {}
        for kind, rows in ((Kind.EVENTS, self.events), (Kind.OUTCOMES, self.outcomes)):
            part = (str(kind), 0)
            at = stored.get(part, 0)
            some = rows[at : at + self.most]
            places = [Place(*part, at + i) for i in range(len(some))]
            if some:
                portions.append(Portion(kind, places, [Message(None, value) for value in some]))
                starts[part], ends[part] = stored.get(part), at + len(some)
        return Delivery(tuple(portions), starts, ends) if portions else None

    def rest(self, seconds: float) -> None:
        self.rested.append(seconds)

    def recover(self) -> None:
        self.recovered += 1

    is_caught_up = True

    def lag(self) -> dict[Part, int]:
        return {}

    def close(self) -> None: ...


@dataclass
class Letters:
    """Dead letters in a list; the first `failures` burials fail."""

    buried: list[Letter] = field(default_factory=list)
    failures: int = 0

    def bury(self, letters: Sequence[Letter]) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("the broker is away")
        self.buried += letters

    def told(self) -> list[tuple[str, int, str, str, int]]:
        return [(x.place.topic, x.place.offset, str(x.reject.reason), x.reject.field, x.attempts) for x in self.buried]


@dataclass
class Shop:
    """Everything that an ingestion of the shop needs, in a home of its own."""

    home: Path
    shared: sa.Engine
    stored: SqlEvents
    logged: LoggedEvents
    log: EventLog
    state: Any  # FileState or RealState
    mapping: Mapping = field(default_factory=rules)
    letters: Letters = field(default_factory=Letters)

    def store(self, source: str = "test") -> SqlStreamStore:
        return SqlStreamStore(self.shared, self.stored, self.logged, SHOP, source)

    def ingest(self, source: Source, options: Options = DEFAULTS, **tools: Any) -> Ingest:
        given: dict[str, Any] = {"store": self.store(), "state": self.state, "dead": self.letters} | tools
        given.setdefault("confirm", getattr(self.state, "confirm", lambda: None))
        terms = Terms(time.time_ns() // 1000, None, HomeVault(self.home), {})
        return Ingest(self.mapping, terms, Tools(source=source, **given), options)

    def take(self, events: Sequence[bytes | None], told: Sequence[bytes | None] = (), **given: Any) -> ListSource:
        """These messages from where the store left off, until there are no more."""
        source = ListSource(self.store().positions, events, told, given.pop("most", 5))
        self.ingest(source, **given).run(once=True)
        return source

    def rows(self, table: sa.Table, *columns: str) -> list[tuple[Any, ...]]:
        with self.shared.connect() as connection:
            return sorted(tuple(row) for row in connection.execute(sa.select(*(table.c[name] for name in columns))))

    def events(self) -> dict[str, int]:
        return dict(self.rows(stream_events, "event_id", "seq"))

    def outcomes(self) -> dict[tuple[str, str], tuple[bool, int | None]]:
        found = self.rows(outcomes, "event_id", "kind", "value", "number")
        return {(event_id, kind): (value, number) for event_id, kind, value, number in found}

    def positions(self) -> list[tuple[Any, ...]]:
        return self.rows(stream_offsets, "topic", "partition", "position")

    def check(self) -> None:
        """No gap, no double: SQL and state tell the same, every number is given once."""
        assert self.events().items() <= self.state.numbers().items()
        told = {about: what for about, what in self.outcomes().items() if what[1] is not None}
        if isinstance(self.state, RealState):
            assert self.state.learnt() == told.keys()
            held, made = self.state.contents()
            assert held == made
            assert held
        else:
            assert self.state.learnt() == told
        numbers = [*self.state.numbers().values(), *(number for _, number in told.values())]
        assert len(set(numbers)) == len(numbers)


@contextmanager
def open_shop(home: Path, *, real: bool = False, state_url: str = "") -> Iterator[Shop]:
    """`real`: with the live state that a service reads, at `state_url` or in a file."""
    url = f"sqlite:///{home}/ledger.db"
    shared = open_shared(url)
    stored, log = SqlEvents(url, shared), EventLog(home, "ecommerce", "shop")
    logged = LoggedEvents(log)
    state = RealState(home, shared, stored, state_url) if real else FileState(home / "state-double.db")
    try:
        yield Shop(home, shared, stored, logged, log, state)
    finally:
        state.close()
        logged.close()
        stored.close()
        shared.dispose()
