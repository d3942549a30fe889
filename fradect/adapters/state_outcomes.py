"""Outcomes in the SQLite state: known once by event and kind, under a number that they bring or are given here."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache

from fradect.adapters.state_file import Scope, StateFile
from fradect.adapters.state_parts import pack_keys, raw, told
from fradect.features.held import Learnt, key_of, outcome_rows

_Name = tuple[bytes, str]
"""The event's id, and the kind of outcome."""

_ABOUT = "scope = ? AND event_id = ? AND kind = ?"
_KNOWN = f"SELECT number FROM learnt WHERE {_ABOUT}"  # noqa: S608
_GIVE = "UPDATE scopes SET last_seq = last_seq + ? WHERE id = ? RETURNING last_seq"
_LONGER = (
    "INSERT INTO settled (scope, entity, key, outcomes) VALUES (?, ?, ?, ?) ON CONFLICT (scope, entity, key) "
    "DO UPDATE SET outcomes = CAST(outcomes || excluded.outcomes AS BLOB)"
)
_STORED = f"DELETE FROM waiting WHERE scope = ? AND seq = ({_KNOWN}) RETURNING seq, keys"  # noqa: S608


class Outcomes:
    """Steps on a file; call them in a transaction."""

    def __init__(self, file: StateFile) -> None:
        self._file = file

    def learn(self, scope: Scope, outcomes: Sequence[Learnt], now: int) -> list[int]:
        """Take in those that are new; all their numbers. `now`: since when those wait that got theirs here."""
        names = [(raw(one.event.event_id), one.kind) for one in outcomes]
        numbers = list(self._numbers(scope, outcomes, names))
        new = self._remember(scope, outcomes, names, numbers)
        fresh: list[tuple[Learnt, int]] = []
        again: list[tuple[Learnt, _Name]] = []
        for one, name, number in zip(outcomes, names, numbers, strict=True):
            if name in new:
                new.discard(name)
                fresh.append((one, number))
            else:
                again.append((one, name))
        self._append(scope, fresh)
        self._wait(scope, [(one, number) for one, number in fresh if one.number is None], now)
        for one, name in again:
            self._stored(scope, one, name)
        return numbers

    def _numbers(self, scope: Scope, outcomes: Sequence[Learnt], names: Sequence[_Name]) -> Iterator[int]:
        """Each one's own, or the one that it got before, or a new one."""
        fresh: dict[_Name, int] = {}
        for one, name in zip(outcomes, names, strict=True):
            if one.number is not None:
                yield one.number
            elif known := fresh.get(name) or self._number(_KNOWN, scope.id, *name):
                yield known
            else:
                fresh[name] = self._number(_GIVE, 1, scope.id)
                yield fresh[name]

    def _number(self, statement: str, *values: object) -> int:
        found = self._file.db.execute(statement, values).fetchone()
        return int(found[0]) if found else 0

    def _remember(
        self, scope: Scope, outcomes: Sequence[Learnt], names: Sequence[_Name], numbers: Sequence[int]
    ) -> set[_Name]:
        """Which of them are new."""
        values: list[object] = []
        place, newest = scope.id, self._number("SELECT newest FROM scopes WHERE id = ?", scope.id)
        for one, (event_id, kind), number in zip(outcomes, names, numbers, strict=True):
            values += (place, kind, event_id, max(newest, one.known_at), number)
        return set(self._file.db.execute(_remember(len(outcomes)), values).fetchall())

    def _append(self, scope: Scope, fresh: Sequence[tuple[Learnt, int]]) -> None:
        """Each key's rows at once: a row of `settled` is long."""
        for entity in scope.layout.sourced:
            longer: dict[str, bytes] = defaultdict(bytes)
            for one, number in fresh:
                key = key_of(entity, one.event)
                if key is not None:
                    longer[key] += outcome_rows(entity, one, number)
            values = [(scope.id, entity.entity, raw(key), rows) for key, rows in longer.items() if rows]
            self._file.db.executemany(_LONGER, values)

    def _wait(self, scope: Scope, unsaved: Sequence[tuple[Learnt, int]], now: int) -> None:
        values = [
            (scope.id, number, raw(one.event.event_id), now, pack_keys(told(scope.layout, one)), one.kind)
            for one, number in unsaved
        ]
        self._file.db.executemany("INSERT INTO waiting VALUES (?, ?, ?, ?, ?, ?)", values)

    def _stored(self, scope: Scope, one: Learnt, name: _Name) -> None:
        """A known outcome that comes with its number is stored. If it waited, and was stored as something else than
        it was learnt as, what is stored counts."""
        if one.number is None:
            return
        waited = self._file.db.execute(_STORED, (scope.id, scope.id, *name)).fetchone()
        if waited is None:
            return
        made = told(scope.layout, one)
        if all(some in self._file.held(scope, entity.entity, key).outcomes for entity, key, some in made):
            return
        self._file.take_out(scope, *waited)
        self._append(scope, [(one, one.number)])
        self._file.db.execute(f"UPDATE learnt SET number = ? WHERE {_ABOUT}", (one.number, scope.id, *name))  # noqa: S608


@lru_cache(maxsize=512)
def _remember(count: int) -> str:
    rows = ", ".join(["(?, ?, ?, ?, ?)"] * count)
    return (
        "INSERT OR IGNORE INTO learnt (scope, kind, event_id, time, number) "  # noqa: S608  placeholders
        f"VALUES {rows} RETURNING event_id, kind"
    )
