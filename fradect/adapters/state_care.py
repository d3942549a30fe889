"""What is done with a whole scope of the SQLite state: filled anew, swept, written out, measured."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from fradect.adapters.state_file import APPENDED, MARKERS, SETTLED, Scope, StateFile, parts_table, split
from fradect.adapters.state_parts import KEPT, Filling, Mark, Size, Spread, spread_of, text
from fradect.features.held import Held, is_due, settle

_PER_TURN = 200  # keys that a sweep looks at, so that arrivals hardly wait
_MARKERS_PER_TURN = 2_000
_PAGE = 5_000
_STAGED = ("held", "settled", "markers", "learnt")
_BYTES = (
    "SELECT sum(bytes) FROM (SELECT key, length(rows) + length(fresh) AS bytes FROM held WHERE scope = ? AND "
    "entity = ? UNION ALL SELECT key, length(tiles) + length(outcomes) + length(matured) FROM settled WHERE scope = ? "
    "AND entity = ?) GROUP BY key"
)
_LEARNT = "(kind TEXT NOT NULL, event_id BLOB NOT NULL, time INTEGER NOT NULL, number INTEGER NOT NULL)"


class Care:
    """Works on a file beside what requests do with it."""

    def __init__(self, file: StateFile) -> None:
        self._file = file
        self._at: dict[tuple[int, str], tuple[Any, ...]] = {}

    def refill(self, scope: Scope, filling: Filling) -> Mark:
        """Everything is brought together beside the scope first; replacing it is one transaction."""
        db = self._file.db
        try:
            self._stage_held(scope, filling.held)
            self._stage("markers", MARKERS, ((scope.id, *one, 0, b"") for one in filling.markers))
            self._stage("learnt", _LEARNT, filling.learnt)
            with self._file.transaction():
                self._file.clear(scope.id)
                for table, parts in (("held", APPENDED), ("settled", SETTLED)):
                    columns = ", ".join(("scope", "entity", "key", *parts))
                    db.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM temp.filled_{table}")  # noqa: S608
                db.execute("INSERT OR IGNORE INTO main.markers SELECT * FROM temp.filled_markers")
                db.execute("INSERT OR IGNORE INTO main.learnt SELECT ?, * FROM temp.filled_learnt", (scope.id,))
                return _marked(db, scope, filling.mark)
        finally:
            with self._file.turn:
                for table in _STAGED:
                    db.execute(f"DROP TABLE IF EXISTS temp.filled_{table}")

    def _stage_held(self, scope: Scope, held: Iterable[tuple[str, bytes, Held]]) -> None:
        coming = iter(held)
        self._begin("held", parts_table(APPENDED))
        self._begin("settled", parts_table(SETTLED))
        while page := list(islice(coming, _PAGE)):
            parted = [((scope.id, entity, key), *split(one)) for entity, key, one in page]
            self._put("held", [(*place, *appended) for place, appended, _ in parted if any(appended)])
            self._put("settled", [(*place, *settled) for place, _, settled in parted if any(settled)])

    def _stage(self, table: str, columns: str, rows: Iterable[tuple[Any, ...]]) -> None:
        coming = iter(rows)
        self._begin(table, columns)
        while page := list(islice(coming, _PAGE)):
            self._put(table, page)

    def _begin(self, table: str, columns: str) -> None:
        with self._file.turn:
            self._file.db.execute(f"CREATE TEMP TABLE filled_{table} {columns}")

    def _put(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            places = ", ".join("?" * len(rows[0]))
            with self._file.turn:
                db = self._file.db
                db.execute("BEGIN")
                db.executemany(f"INSERT OR IGNORE INTO temp.filled_{table} VALUES ({places})", rows)  # noqa: S608
                db.execute("COMMIT")

    def sweep(self, scope: Scope) -> int:
        """Look at some keys, each time the next ones, and at some markers; how many were removed or shortened."""
        with self._file.transaction() as db:
            newest, confirmed = _ends(db, scope)
            swept = 0
            for entity, key, held in self._next(scope):
                layout = scope.entities[entity]
                settled = settle(layout, held, newest, confirmed)
                if is_due(layout, held, newest, confirmed) or 2 * _length(settled) <= _length(held):
                    self._file.replace(scope, entity, key, settled)
                    swept += 1
            swept += self._forget(scope, "markers", newest - KEPT, f"AND seq <= {confirmed:d}")
            return swept + self._forget(scope, "learnt", newest - KEPT, f"AND number <= {confirmed:d}")

    def _next(self, scope: Scope) -> list[tuple[str, bytes, Held]]:
        after = self._at.get((scope.id, "held"), ("", b""))
        page = self._page(scope, after, _PER_TURN)
        self._at[scope.id, "held"] = (page[-1][0], page[-1][1]) if len(page) == _PER_TURN else ("", b"")
        return page

    def _forget(self, scope: Scope, table: str, oldest: int, also: str) -> int:
        """Remove what is too old to be repeated from the next stretch of a table, in the order of ids."""
        db, after = self._file.db, self._at.get((scope.id, table), (b"",))
        stretch = db.execute(
            f"SELECT event_id FROM {table} WHERE scope = ? AND event_id > ? ORDER BY event_id LIMIT ?",  # noqa: S608
            (scope.id, *after, _MARKERS_PER_TURN),
        ).fetchall()
        self._at[scope.id, table] = stretch[-1] if len(stretch) == _MARKERS_PER_TURN else (b"",)
        if not stretch:
            return 0
        removed = db.execute(
            f"DELETE FROM {table} WHERE scope = ? AND event_id > ? AND event_id <= ? AND time <= ? {also}",  # noqa: S608
            (scope.id, *after, *stretch[-1], oldest),
        )
        return removed.rowcount

    def settle_all(self, scope: Scope) -> None:
        after: tuple[str, bytes] = ("", b"")
        while True:
            with self._file.transaction() as db:
                newest, confirmed = _ends(db, scope)
                page = self._page(scope, after, _PAGE)
                for entity, key, held in page:
                    settled = settle(scope.entities[entity], held, newest, confirmed)
                    if settled != held:
                        self._file.replace(scope, entity, key, settled)
            if len(page) < _PAGE:
                return
            after = (page[-1][0], page[-1][1])

    def dump(self, scope: Scope) -> Iterator[tuple[str, str, Held]]:
        after: tuple[str, bytes] = ("", b"")
        while True:
            with self._file.reading():
                page = self._page(scope, after, _PAGE)
            for entity, key, held in page:
                if held:
                    yield entity, text(key), held
            if len(page) < _PAGE:
                return
            after = (page[-1][0], page[-1][1])

    def size(self, scope: Scope) -> Size:
        with self._file.reading() as db:
            entities: dict[str, Spread] = {}
            for entity in scope.entities:
                rows = db.execute(_BYTES, (scope.id, entity) * 2)
                lengths = [length for (length,) in rows]
                if lengths:
                    entities[entity] = spread_of(lengths)
            return Size(entities, _count(db, "markers", scope), _count(db, "waiting", scope))

    def _page(self, scope: Scope, after: tuple[str, bytes], most: int) -> list[tuple[str, bytes, Held]]:
        places: set[tuple[str, bytes]] = set()
        for table in ("held", "settled"):
            places |= set(
                self._file.db.execute(
                    f"SELECT entity, key FROM {table} WHERE scope = ? AND (entity, key) > (?, ?) "  # noqa: S608
                    "ORDER BY entity, key LIMIT ?",
                    (scope.id, *after, most),
                )
            )
        return [(entity, key, self._file.held(scope, entity, key)) for entity, key in sorted(places)[:most]]


def _length(held: Held) -> int:
    return sum(len(part) for parts in split(held) for part in parts)


def _ends(db: sqlite3.Connection, scope: Scope) -> tuple[int, int]:
    newest, confirmed = db.execute("SELECT newest, confirmed_seq FROM scopes WHERE id = ?", (scope.id,)).fetchone()
    return newest, confirmed


def _count(db: sqlite3.Connection, table: str, scope: Scope) -> int:
    (counted,) = db.execute(f"SELECT count(*) FROM {table} WHERE scope = ?", (scope.id,)).fetchone()  # noqa: S608
    return int(counted)


def _marked(db: sqlite3.Connection, scope: Scope, mark: Mark) -> Mark:
    row = db.execute(
        "UPDATE scopes SET digest = ?, last_seq = max(last_seq, ?), newest = ?, confirmed_seq = ?, log_seq = ? "
        "WHERE id = ? RETURNING last_seq, newest, confirmed_seq, log_seq, digest",
        (scope.layout.digest, mark.last_seq, mark.newest, mark.confirmed_seq, mark.log_seq, scope.id),
    ).fetchone()
    return Mark(*row)
