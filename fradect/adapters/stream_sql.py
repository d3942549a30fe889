"""What streams bring, in SQL: data and positions in one transaction, under a compare that stops whoever is late."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from fradect.adapters.logged_events import LoggedEvents
from fradect.adapters.sql_events import SqlEvents
from fradect.adapters.tables import event_row, outcomes, stream_attempts, stream_events, stream_offsets
from fradect.errors import Unavailable
from fradect.stream import Fenced, Known, Learnt, Part, Place, Saying, Settled
from fradect.stream.ports import Heard
from fradect.types import Event, OutcomeKind

_MOST_NAMES = 500  # in one IN list


class SqlStreamStore:
    """A stream's Store, bound to one tenant, module and source."""

    def __init__(
        self, shared: sa.Engine, stored: SqlEvents, logged: LoggedEvents, whose: tuple[str, str], source: str
    ) -> None:
        self._engine = shared
        self._stored = stored
        self._logged = logged
        self._tenant, self._module = whose
        self._source = source

    def positions(self) -> dict[Part, int]:
        """How far each part of the source has been taken."""
        table = stream_offsets.c
        wanted = sa.select(table.topic, table.partition, table.position).where(*self._of_source(stream_offsets))
        with self._transaction() as connection:
            return {(row.topic, row.partition): row.position for row in connection.execute(wanted)}

    def known(self, event_ids: Sequence[str]) -> dict[str, Known]:
        found = {event_id: Known(seq, event, False) for event_id, (seq, event) in self._logged.find(event_ids).items()}
        stored = self._stored.find(self._tenant, self._module, event_ids)
        return found | {i: Known(n.seq, n.event, n.source == "stream") for i, n in stored.items()}

    def said(self, event_ids: Sequence[str]) -> dict[tuple[str, OutcomeKind], Heard]:
        c = outcomes.c
        found: dict[tuple[str, OutcomeKind], Heard] = {}
        for row in self._of_events(sa.select(c.event_id, c.kind, c.value, c.number), event_ids):
            found[row.event_id, OutcomeKind(row.kind)] = Heard(row.value, row.number is None)
        for about, value in self._logged.said(event_ids).items():
            if about not in found or found[about].waits:
                found[about] = Heard(value, False)
        return found

    def waiting(self, event_ids: Sequence[str]) -> list[Saying]:
        rows = self._of_events(sa.select(*_SAYING).where(outcomes.c.number.is_(None)), event_ids)
        return [_saying(row) for row in rows]

    def any_waiting(self, after: str, most: int) -> list[Saying]:
        """Whole events only: both kinds of one event come together."""
        wanted = sa.select(*_SAYING).where(
            *self._mine(outcomes), outcomes.c.number.is_(None), outcomes.c.event_id > after
        )
        with self._transaction() as connection:
            rows = connection.execute(wanted.order_by(outcomes.c.event_id).limit(most + 1)).all()
        whole = rows[:most]
        while len(rows) > most and len(whole) > 1 and whole[-1].event_id == rows[most].event_id:
            whole = whole[:-1]
        return [_saying(row) for row in whole]

    def count_waiting(self) -> int:
        wanted = sa.select(sa.func.count()).where(*self._mine(outcomes), outcomes.c.number.is_(None))
        with self._transaction() as connection:
            return int(connection.execute(wanted).scalar_one())

    def save(self, settled: Settled) -> None:
        with self._transaction() as connection:
            self._advance(connection, settled)
            rows = [self._event_row(*event) for event in settled.events]
            if rows:
                connection.execute(stream_events.insert(), rows)
            self._forget(connection, [(told.event.event_id, told.kind) for told, _ in settled.learnt])
            rows = [self._outcome_row(learnt, origin) for learnt, origin in settled.learnt]
            rows += [self._waiting_row(saying) for saying in settled.waiting]
            if rows:
                connection.execute(outcomes.insert(), rows)

    def drop_waiting(self, sayings: Sequence[Saying]) -> None:
        with self._transaction() as connection:
            self._forget(connection, [(saying.event_id, saying.kind) for saying in sayings])

    def unlearnt(self) -> list[Learnt]:
        c = outcomes.c
        wanted = sa.select(c.event_id, c.kind, c.value, c.known_at, c.number).where(
            *self._mine(outcomes), c.learnt.is_(False), c.number.is_not(None)
        )
        with self._transaction() as connection:
            rows = connection.execute(wanted.order_by(c.number)).all()
        known = self.known(sorted({row.event_id for row in rows}))
        return [
            Learnt(known[r.event_id].event, known[r.event_id].seq, OutcomeKind(r.kind), r.value, r.known_at, r.number)
            for r in rows
            if r.event_id in known
        ]

    def mark_learnt(self, told: Sequence[Learnt]) -> None:
        change = outcomes.update().where(*self._mine(outcomes), outcomes.c.number == sa.bindparam("its_number"))
        with self._transaction() as connection:
            connection.execute(change.values(learnt=True), [{"its_number": one.number} for one in told])

    def tried(self, places: Sequence[Place], now: int) -> dict[Place, tuple[int, int]]:
        table, counted = stream_attempts, {}
        with self._transaction() as connection:
            for place in places:
                at = {"topic": place.topic, "partition": place.partition, "position": place.offset}
                same = (*self._of_source(table), *(table.c[name] == value for name, value in at.items()))
                row = connection.execute(sa.select(table.c.attempts, table.c.first_seen).where(*same)).one_or_none()
                if row is None:
                    counted[place] = (1, now)
                    fresh = {**self._source_key(), **at, "attempts": 1, "first_seen": now}
                    connection.execute(table.insert(), fresh)
                else:
                    counted[place] = (row.attempts + 1, row.first_seen)
                    connection.execute(table.update().where(*same).values(attempts=row.attempts + 1))
        return counted

    def _advance(self, connection: sa.Connection, settled: Settled) -> None:
        """Positions first: whoever is late stops here, before a row is written."""
        table = stream_offsets
        for (topic, partition), end in settled.ends.items():
            start = settled.starts.get((topic, partition))
            if end == start:
                continue
            key = {"topic": topic, "partition": partition}
            new = {"position": end, "updated_at": time.time_ns() // 1000}
            same = (*self._of_source(table), *(table.c[name] == value for name, value in key.items()))
            if start is None:
                self._begin(connection, {**self._source_key(), **key, **new})
            elif connection.execute(table.update().where(*same, table.c.position == start).values(**new)).rowcount != 1:
                raise Fenced(f"{topic}/{partition} is no longer at {start}: another consumer has taken it over")
            past = (*self._of_source(stream_attempts), stream_attempts.c.topic == topic)
            connection.execute(
                stream_attempts.delete().where(
                    *past, stream_attempts.c.partition == partition, stream_attempts.c.position < end
                )
            )

    def _begin(self, connection: sa.Connection, row: dict[str, Any]) -> None:
        try:
            connection.execute(stream_offsets.insert(), row)
        except sa.exc.IntegrityError as error:
            raise Fenced(f"{row['topic']}/{row['partition']} has been begun by another consumer") from error

    def _forget(self, connection: sa.Connection, about: Sequence[tuple[str, OutcomeKind]]) -> None:
        c = outcomes.c
        gone = outcomes.delete().where(
            *self._mine(outcomes),
            c.event_id == sa.bindparam("its_event"),
            c.kind == sa.bindparam("its_kind"),
            c.number.is_(None),
        )
        if about:
            connection.execute(gone, [{"its_event": event_id, "its_kind": str(kind)} for event_id, kind in about])

    def _event_row(self, seq: int, event: Event, origin: str) -> dict[str, Any]:
        return {**event_row(event, seq), "origin": origin, "compacted": False}

    def _outcome_row(self, learnt: Learnt, origin: str) -> dict[str, Any]:
        saying = Saying(learnt.event.event_id, learnt.kind, learnt.value, learnt.known_at, origin)
        place = {"number": learnt.number, "seq": learnt.seq, "event_time": learnt.event.event_time}
        return {**self._waiting_row(saying), **place}

    def _waiting_row(self, saying: Saying) -> dict[str, Any]:
        return {
            "tenant_id": self._tenant,
            "module": self._module,
            "event_id": saying.event_id,
            "kind": str(saying.kind),
            "value": saying.value,
            "known_at": saying.known_at,
            "number": None,
            "seq": None,
            "event_time": None,
            "origin": saying.origin,
            "learnt": False,
            "compacted": False,
        }

    def _of_events(
        self, statement: sa.Select[tuple[Any, ...]], event_ids: Sequence[str]
    ) -> Iterator[sa.Row[tuple[Any, ...]]]:
        for start in range(0, len(event_ids), _MOST_NAMES):
            some = event_ids[start : start + _MOST_NAMES]
            with self._transaction() as connection:
                rows = connection.execute(statement.where(*self._mine(outcomes), outcomes.c.event_id.in_(some))).all()
            yield from rows

    def _mine(self, table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
        return table.c.tenant_id == self._tenant, table.c.module == self._module

    def _of_source(self, table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
        return (*self._mine(table), table.c.source == self._source)

    def _source_key(self) -> dict[str, str]:
        return {"tenant_id": self._tenant, "module": self._module, "source": self._source}

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError) as error:
            raise Unavailable(f"the database does not answer: {error.orig}") from error


_SAYING = (outcomes.c.event_id, outcomes.c.kind, outcomes.c.value, outcomes.c.known_at, outcomes.c.origin)


def _saying(row: sa.Row[tuple[Any, ...]]) -> Saying:
    return Saying(row.event_id, OutcomeKind(row.kind), row.value, row.known_at, row.origin)
