"""The SQLite file that holds a live state: its tables, the statements on one scope, and whose turn it is.

`held` and `settled` have a row for each entity's key, in the bytes of fradect/features/held.py: what arrivals append to
apart from the rest, which may be long and is written seldom. `markers` knows events by id, and `waiting` those of them
that are not confirmed, with their keys. `learnt` knows outcomes by kind and event; those that got their number here and
are not known to be stored are in `waiting` too, which says their kind.
"""

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fradect.adapters.state_parts import PARTS, Draft, numbered, pack_keys, raw, unpack_keys
from fradect.errors import Refused, Unavailable
from fradect.features.held import Held, withdrawn
from fradect.features.layout import EntityLayout, Layout

_KEY = "scope INTEGER NOT NULL, entity TEXT NOT NULL, key BLOB NOT NULL"
APPENDED, SETTLED = PARTS[:2], PARTS[2:]


def _parts(parts: Sequence[str]) -> str:
    return ", ".join(f"{name} BLOB NOT NULL DEFAULT x''" for name in parts)


def parts_table(parts: Sequence[str]) -> str:
    return f"({_KEY}, {_parts(parts)}, PRIMARY KEY (scope, entity, key)) WITHOUT ROWID"


# Rows that every arrival makes longer are found by their key once and then by number, which leaves the index alone.
_HELD = f"(id INTEGER PRIMARY KEY, {_KEY}, {_parts(APPENDED)}, UNIQUE (scope, entity, key))"
MARKERS = (
    "(scope INTEGER NOT NULL, event_id BLOB NOT NULL, seq INTEGER NOT NULL, time INTEGER NOT NULL, "
    "newest INTEGER NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (scope, event_id)) WITHOUT ROWID"
)
_TABLES = {
    "scopes": "(id INTEGER PRIMARY KEY, tenant_id TEXT NOT NULL, module TEXT NOT NULL, "
    "digest TEXT NOT NULL DEFAULT '', last_seq INTEGER NOT NULL DEFAULT 0, newest INTEGER NOT NULL DEFAULT 0, "
    "confirmed_seq INTEGER NOT NULL DEFAULT 0, log_seq INTEGER NOT NULL DEFAULT -1, UNIQUE (tenant_id, module))",
    "held": _HELD,
    "settled": parts_table(SETTLED),
    "markers": MARKERS,
    "waiting": "(scope INTEGER NOT NULL, seq INTEGER NOT NULL, event_id BLOB NOT NULL, since INTEGER NOT NULL, "
    "keys BLOB NOT NULL, kind TEXT NOT NULL, PRIMARY KEY (scope, seq)) WITHOUT ROWID",
    "learnt": "(scope INTEGER NOT NULL, kind TEXT NOT NULL, event_id BLOB NOT NULL, time INTEGER NOT NULL, "
    "number INTEGER NOT NULL, PRIMARY KEY (scope, event_id, kind)) WITHOUT ROWID",
}
_LASTING = ("journal_mode=WAL", "synchronous=NORMAL", "cache_size=-65536", "wal_autocheckpoint=8000")
_PASSING = ("page_size=16384", "journal_mode=MEMORY", "synchronous=OFF", "cache_size=-262144", "locking_mode=EXCLUSIVE")
_MOST_ENTITIES = 32

_HELD_COLUMNS = ("scope", "entity", "key", *APPENDED)
_NEW = f"INSERT INTO held ({', '.join(_HELD_COLUMNS)}) VALUES {{}}"  # noqa: S608
_NEWS = tuple(_NEW.format(", ".join(["(?, ?, ?, ?, ?)"] * n)) for n in range(_MOST_ENTITIES + 1))
_LONGER = "UPDATE held SET rows = ?, fresh = ? WHERE id = ?"
_OF_KEY = "WHERE scope = ? AND entity = ? AND key = ?"
_SELECT_HELD = f"SELECT rows, fresh FROM held {_OF_KEY}"  # noqa: S608
_SELECT_SETTLED = f"SELECT tiles, outcomes, matured FROM settled {_OF_KEY}"  # noqa: S608
_EVENT = "markers WHERE scope = ?1 AND event_id = ?2 AND ?3 = ''"
_OUTCOME = "learnt WHERE scope = ?1 AND event_id = ?2 AND kind = ?3"
_NUMBER = (
    "UPDATE scopes SET last_seq = last_seq + 1, newest = max(newest, ?1) WHERE id = ?2 AND digest = ?3 AND NOT EXISTS "
    "(SELECT 1 FROM markers WHERE scope = ?2 AND event_id = ?4) RETURNING last_seq, newest, confirmed_seq"
)
_PLACE = (
    "UPDATE scopes SET last_seq = max(last_seq, ?5), newest = max(newest, ?1) WHERE id = ?2 AND digest = ?3 "
    "AND NOT EXISTS (SELECT 1 FROM markers WHERE scope = ?2 AND event_id = ?4) RETURNING ?5, newest, confirmed_seq"
)


@cache
def _reading(settled: tuple[bool, ...]) -> str:
    """A row for each key: where it is, what arrivals append to, and, of keys that have it, what is settled."""
    return " UNION ALL ".join(_row_of(i, also) for i, also in enumerate(settled))


def _row_of(number: int, settled: bool) -> str:
    joined = (
        f"LEFT JOIN {table} ON {table}.scope = ?1 AND {table}.entity = ?{2 * number + 2} "
        f"AND {table}.key = ?{2 * number + 3}"
        for table in ("held", "settled")[: 1 + settled]
    )
    parts = (f"coalesce({part}, x'')" if settled else "x''" for part in SETTLED)
    return f"SELECT id, rows, fresh, {', '.join(parts)} FROM (SELECT 1) {' '.join(joined)}"  # noqa: S608  our own names


@dataclass(slots=True)
class Scope:
    """A tenant's part of a module in this file, as this process has adopted it."""

    id: int
    tenant_id: str
    module: str
    layout: Layout
    entities: Mapping[str, EntityLayout]

    @classmethod
    def of(cls, number: int, tenant_id: str, layout: Layout) -> "Scope":
        if len(layout.entities) > _MOST_ENTITIES:
            raise Refused(
                f"{layout.module}: windows over more than {_MOST_ENTITIES} entities; contracts must share some"
            )
        return cls(number, tenant_id, layout.module, layout, {entity.entity: entity for entity in layout.entities})


class StateFile:
    """One connection, which threads take turns with. Errors of SQLite come out as Unavailable."""

    def __init__(self, path: Path | str, *, scratch: bool, wait: float) -> None:
        self.path = path
        self.turn = threading.RLock()
        self._together = False
        try:
            if isinstance(path, Path):
                path.parent.mkdir(parents=True, exist_ok=True)
            self.db = sqlite3.connect(
                path, timeout=wait, isolation_level=None, check_same_thread=False, cached_statements=512
            )
            for pragma in _PASSING if scratch else _LASTING:
                self.db.execute(f"PRAGMA {pragma}")
        except (sqlite3.Error, OSError) as error:
            raise self._trouble(error) from error
        self._prepare()

    def close(self) -> None:
        with self.turn:
            self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One atomic step; others wait for their turn."""
        with self.turn:
            if self._together:
                yield self.db
                return
            try:
                self.db.execute("BEGIN IMMEDIATE")
                yield self.db
                self.db.execute("COMMIT")
            except BaseException as error:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise self._trouble(error) from error
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Statements that see one moment."""
        with self.turn:
            is_first = not self.db.in_transaction
            try:
                if is_first:
                    self.db.execute("BEGIN")
                yield self.db
            except sqlite3.Error as error:
                raise self._trouble(error) from error
            finally:
                if is_first and self.db.in_transaction:
                    self.db.execute("ROLLBACK")

    @contextmanager
    def together(self) -> Iterator[None]:
        """Every step inside is one transaction, and this thread's alone."""
        with self.transaction():
            was_together, self._together = self._together, True
            try:
                yield
            finally:
                self._together = was_together

    def held(self, scope: Scope, entity: str, key: bytes) -> Held:
        place = (scope.id, entity, key)
        appended = self.db.execute(_SELECT_HELD, place).fetchone() or (b"", b"")
        settled = self.db.execute(_SELECT_SETTLED, place).fetchone() or (b"", b"", b"")
        return Held(*appended, *settled)

    def replace(self, scope: Scope, entity: str, key: bytes, held: Held) -> None:
        place = (scope.id, entity, key)
        appended, settled = split(held)
        for table, columns, parts in (("held", APPENDED, appended), ("settled", SETTLED, settled)):
            if any(parts):
                values = ", ".join("?" * (3 + len(parts)))
                names = ", ".join(("scope", "entity", "key", *columns))
                self.db.execute(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({values})", (*place, *parts))  # noqa: S608
            else:
                self.db.execute(f"DELETE FROM {table} {_OF_KEY}", place)  # noqa: S608

    def append(self, scope: Scope, made: Sequence[Draft], seq: int) -> dict[str, Held | None]:
        """Append to every key; what they hold then."""
        seen: dict[str, Held | None] = dict.fromkeys(scope.entities)
        number = seq.to_bytes(8, "little")
        asked: list[object] = [scope.id]
        for entity, key, _ in made:
            asked += (entity.entity, key)
        statement = _reading(tuple([bool(entity.tiles or entity.sources) for entity, _, _ in made]))
        execute = self.db.execute
        found = execute(statement, asked).fetchall() if made else ()
        longer: list[tuple[bytes, bytes, int]] = []
        new: list[object] = []
        for (entity, key, blank), (place, old_rows, old_fresh, *settled) in zip(made, found, strict=True):
            row, name = numbered(blank, number), entity.entity
            rows, fresh = row if entity.exact else b"", row if entity.tiles else b""
            if place is not None:
                rows, fresh = old_rows + rows, old_fresh + fresh
                longer.append((rows, fresh, place))
            elif rows or fresh:
                new += (scope.id, name, key, rows, fresh)
            seen[name] = Held(rows, fresh, *settled)
        if longer:
            self.db.executemany(_LONGER, longer)
        if new:
            execute(_NEWS[len(new) // 5], new)
        return seen

    def seen(self, scope: Scope, made: Sequence[Draft]) -> dict[str, Held | None]:
        seen: dict[str, Held | None] = dict.fromkeys(scope.entities)
        for entity, key, _ in made:
            seen[entity.entity] = self.held(scope, entity.entity, key)
        return seen

    def number(self, scope: Scope, event_id: str, event_time: int, seq: int | None) -> tuple[int, int, int] | None:
        """The event's number (a new one without `seq`), the newest time and the confirmed mark; None when the event is
        known, or the scope is kept as another layout by now."""
        values = (event_time, scope.id, scope.layout.digest, raw(event_id))
        if seq is None:
            found: tuple[int, int, int] | None = self.db.execute(_NUMBER, values).fetchone()
        else:
            found = self.db.execute(_PLACE, (*values, seq)).fetchone()
        return found

    def is_kept(self, scope: Scope) -> bool:
        """Whether the scope is still kept as the layout that it was adopted with."""
        found = self.db.execute("SELECT digest FROM scopes WHERE id = ?", (scope.id,)).fetchone()
        return bool(found and found[0] == scope.layout.digest)

    def mark(self, scope: Scope, event_id: str, place: tuple[int, int, int], digest: bytes) -> None:
        """Remember the event by its number, its time, and the newest time by then."""
        self.db.execute("INSERT INTO markers VALUES (?, ?, ?, ?, ?, ?)", (scope.id, raw(event_id), *place, digest))

    def wait(self, scope: Scope, seq: int, event_id: str, since: int, made: Sequence[Draft]) -> None:
        self.db.execute(
            "INSERT INTO waiting VALUES (?, ?, ?, ?, ?, '')", (scope.id, seq, raw(event_id), since, pack_keys(made))
        )

    def withdraw(self, scope: Scope, event_id: str, kind: str) -> None:
        """Undo an arrival that waits."""
        number, known = ("number", _OUTCOME) if kind else ("seq", _EVENT)
        waits = f"DELETE FROM waiting WHERE scope = ?1 AND seq = (SELECT {number} FROM {known}) RETURNING seq, keys"  # noqa: S608
        about = (scope.id, raw(event_id), kind)
        found = self.db.execute(waits, about).fetchone()
        if found is not None:
            self.db.execute(f"DELETE FROM {known}", about)  # noqa: S608
            self.take_out(scope, *found)

    def take_out(self, scope: Scope, seq: int, keys: bytes) -> None:
        """Of the keys whatever has this number and is not folded."""
        for entity, key in unpack_keys(keys):
            self.replace(scope, entity, key, withdrawn(scope.entities[entity], self.held(scope, entity, key), seq))

    def clear(self, scope_id: int) -> None:
        for table in _TABLES.keys() - {"scopes"}:
            self.db.execute(f"DELETE FROM {table} WHERE scope = ?", (scope_id,))  # noqa: S608  our own names

    def _prepare(self) -> None:
        """Make the tables; what an older version left is thrown away, since the log gives it back."""
        with self.transaction() as db:
            found = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
            wanted = {name: f"CREATE TABLE {name} {columns}" for name, columns in _TABLES.items()}
            if dict(found) == wanted:
                return
            for name, _ in found:
                db.execute(f"DROP TABLE {name}")
            for statement in wanted.values():
                db.execute(statement)

    def _trouble(self, error: sqlite3.Error | OSError) -> Unavailable:
        return Unavailable(
            f"the live state in {self.path} does not answer ({error}): try again; a damaged file may be removed, the "
            "log gives it back"
        )


def split(held: Held) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes, bytes]]:
    """What arrivals append to, and what is settled."""
    return (held.rows, held.fresh), (held.tiles, held.outcomes, held.matured)
