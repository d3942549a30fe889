"""The ledger in SQL: event, transaction, decision and outbox row in one transaction, chained, durable.

Many decisions share a transaction. Almost always all of them are new: so they are linked into the writer's chain and
written at once, and the unique keys stop the whole of it where one is not. Then who wins an event id is settled first,
by its row in `events`, and the winners alone are linked and written.
"""

import logging
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from fradect.adapters.chain import link
from fradect.adapters.database import OnlyWriter, count_values, migrate, open_database, reason, sqlite_path
from fradect.adapters.direct import group, lent, search, unsure
from fradect.adapters.ledger_rows import Head, decision_row, key_row, new_keys, outbox_row, transaction_row
from fradect.adapters.packed import MISFITS
from fradect.adapters.prepared import Insert, Rows
from fradect.adapters.tables import data_keys, event_row, events, idempotency_keys, outbox, risk_decisions, transactions
from fradect.crash import crash_point
from fradect.errors import FradectError, InvalidInput, Unavailable, Uncertain
from fradect.ports import Asked, DataKey, Record, Stored

log = logging.getLogger(__name__)
_Key = tuple[str, str, str]  # tenant, module, event

_BY_EVENT = """SELECT d.tenant_id, d.module, d.entity_id, d.id, d.request_digest, d.answer FROM wanted
JOIN risk_decisions d ON d.tenant_id = wanted.tenant AND d.module = wanted.module AND d.entity_id = wanted.entity"""
_BY_KEY = """SELECT k.tenant_id, k.key, k.entity_id, d.id, k.request_digest, d.answer FROM wanted
JOIN idempotency_keys k ON k.tenant_id = wanted.tenant AND k.key = wanted.key
JOIN risk_decisions d ON d.tenant_id = k.tenant_id AND d.module = k.module AND d.entity_id = k.entity_id"""

# A value of one record that the database, its driver or an encoder does not take; anything else is everybody's.
_REFUSED = (sa.exc.DataError, sa.exc.IntegrityError, ValueError, OverflowError)
_YOUNG = 64  # rows after which the database can say how they are spread
_TRY_AGAIN = frozenset({"DeadlockDetected", "SerializationFailure"})


class SqlLedger:
    """Ledger on SQLAlchemy. On SQLite a second process is refused; on PostgreSQL each has a chain of its own."""

    def __init__(self, url: str) -> None:
        """Refused when another process writes to the file; Unavailable when the database is not to be had."""
        self.engine = open_database(url, hurried=True)
        path = sqlite_path(self.engine)
        self._only = None if path is None else OnlyWriter(path)
        if self._only is not None:
            self._only.take()
        dialect = self.engine.dialect
        self._writer = "main" if dialect.name == "sqlite" else f"w_{secrets.token_hex(12)}"
        self._by_event = search("fradect_by_event", ("tenant", "module", "entity"), _BY_EVENT, dialect)
        self._by_key = search("fradect_by_key", ("tenant", "key"), _BY_KEY, dialect)
        self._keys = Insert(idempotency_keys, dialect)
        self._events = Insert(events, dialect)
        self._decisions = Insert(risk_decisions, dialect, ("outcome", "outcome_updated_at"))
        self._transactions = Insert(transactions, dialect)
        self._outbox = Insert(outbox, dialect, ("id", "delivered_at"))
        self._inserts = (self._keys, self._events, self._decisions, self._transactions, self._outbox)
        self._group = group(self._inserts, dialect)
        self._data_keys = Insert(data_keys, dialect)
        self._group_with_keys = group((*self._inserts, self._data_keys), dialect)
        self._turn = threading.Lock()
        self._head: Head | None = None
        self._until_counted = _YOUNG
        try:
            migrate(self.engine, "ledger")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file and of its lock."""
        self.engine.dispose()
        if self._only is not None:
            self._only.release()

    def find(self, tenant_id: str, module: str, event_id: str) -> Stored | None:
        return self.find_many([Asked(tenant_id, module, event_id)])[0]

    def find_many(self, asked: Sequence[Asked]) -> list[Stored | None]:
        """For each what is stored, the key's event before the id's; Unavailable when the database is gone."""
        try:
            return self._find(asked)
        except sa.exc.DBAPIError as error:
            if not error.connection_invalidated:
                raise _gone(error) from error
        try:  # over a connection that broke while nobody used it
            return self._find(asked)
        except sa.exc.DBAPIError as error:
            raise _gone(error) from error

    def commit(self, record: Record) -> Stored:
        """Durable when it returns. The loser of a race for an event id gets what the winner stored."""
        answer = self.commit_many([record])[0]
        if isinstance(answer, FradectError):
            raise answer
        return answer

    def commit_many(self, records: Sequence[Record]) -> list[Stored | FradectError]:
        """For each what is durable when it returns, or its own error."""
        with self._turn:
            try:
                self._write_all(records)
            except Uncertain:  # if it was done, asking for the same once more finds it
                return [_in_doubt(answer) for answer in self._commit(records, again=True)]
            except (*_REFUSED, *MISFITS):
                return self._commit(records, again=True)
            except sa.exc.DBAPIError as error:
                if error.connection_invalidated or _to_be_tried_again(error):
                    return self._commit(records, again=True)
                return [_gone(error)] * len(records)
        return [_own(record) for record in records]

    def _find(self, asked: Sequence[Asked]) -> list[Stored | None]:
        keys = [(a.tenant_id, a.idempotency_key) for a in asked if a.idempotency_key is not None]
        with lent(self.engine) as connection:
            rows = self._by_event.run(connection, [(a.tenant_id, a.module, a.event_id) for a in asked])
            by_event = {row[:3]: Stored(row[3], row[4], row[5], row[2]) for row in rows}
            by_key = {row[:2]: Stored(row[3], row[4], row[5], row[2]) for row in self._by_key.run(connection, keys)}
        return [
            by_key.get((a.tenant_id, a.idempotency_key)) or by_event.get((a.tenant_id, a.module, a.event_id))
            for a in asked
        ]

    def _write_all(self, records: Sequence[Record]) -> None:
        """One transaction, for records that are all new; nothing is written where one is not, or is not to be had."""
        crash_point("before-insert")
        head, self._head = self._head, None
        if head is None:
            with self.engine.connect() as connection:
                head = self._read_head(connection)
        happened = [event_row(record.event, record.decision.seq) for record in records]
        decided, head = self._linked(zip(records, happened, strict=True), head)
        keys = [key_row(record) for record in records if record.idempotency_key is not None]
        told = self._told(records)
        rows = (self._keys.by_key(keys), self._events.by_key(happened), decided, *told)
        parts = [insert.values(part) for insert, part in zip(self._inserts, rows, strict=True)]
        sealed_under = new_keys(records)
        if sealed_under:
            self._write_rows([*parts, self._data_keys.values(key.row() for key in sealed_under.values())])
        else:
            self._write_rows(parts)
        crash_point("after-commit")
        _are_stored(sealed_under)
        self._head = head
        self._grew(len(records))

    def _write_rows(self, parts: Sequence[Rows]) -> None:
        try:
            with lent(self.engine) as connection:
                together = self._group if len(parts) == len(self._inserts) else self._group_with_keys
                make_durable = together.ready(connection, parts)
                crash_point("before-commit")
                make_durable()
        except sa.exc.DBAPIError as error:
            if error.connection_invalidated:
                raise unsure(reason(error)) from error
            raise

    def _commit(self, records: Sequence[Record], *, again: bool) -> list[Stored | FradectError]:
        """What one record is refused for must not cost the others: the group is halved until it stands alone."""
        try:
            won = self._write(records)
        except Uncertain as error:
            return [error] * len(records)
        except _REFUSED as error:
            return self._halved(records, error, again=again)
        except sa.exc.DBAPIError as error:
            if again and (error.connection_invalidated or _to_be_tried_again(error)):
                return self._commit(records, again=False)
            return [_gone(error)] * len(records)
        return self._answers(records, won)

    def _halved(self, records: Sequence[Record], error: Exception, *, again: bool) -> list[Stored | FradectError]:
        if len(records) > 1:
            half = len(records) // 2
            return [*self._commit(records[:half], again=True), *self._commit(records[half:], again=True)]
        if again and isinstance(error, sa.exc.IntegrityError):  # the chain's end may be another than we thought
            return self._commit(records, again=False)
        return [_refused(records[0], error)]

    def _write(self, records: Sequence[Record]) -> set[str]:
        """One transaction; the ids of the decisions that won. After an error the chain's end is read again."""
        crash_point("before-insert")
        with self.engine.connect() as connection:
            head, self._head = self._head, None
            head = head or self._read_head(connection)
            winners = self._settle(connection, records)
            sealed_under = new_keys([record for record, _ in winners])
            self._data_keys.run_new(connection, [key.row() for key in sealed_under.values()])
            if winners:
                head = self._append(connection, winners, head)
                crash_point("before-commit")
                _make_durable(connection)
                crash_point("after-commit")
        self._head = head
        _are_stored(sealed_under)
        self._grew(len(winners))
        return {record.decision.decision_id for record, _ in winners}

    def _grew(self, rows: int) -> None:
        if self._until_counted <= 0:
            return
        self._until_counted -= rows
        if self._until_counted <= 0:
            try:
                count_values(self.engine, (events, risk_decisions))
            except sa.exc.DBAPIError as error:  # what was written stands; the next group tries again
                log.warning("the ledger's tables were not looked at (%s)", reason(error))
                self._until_counted = 1

    def _settle(self, connection: sa.Connection, records: Sequence[Record]) -> list[tuple[Record, dict[str, Any]]]:
        """The records that nobody was faster than, with their rows in `events`, which are written."""
        first: dict[_Key, Record] = {}
        for record in records:
            first.setdefault(_key(record), record)
        keyed: dict[tuple[str, str], Record] = {}
        for record in first.values():
            if record.idempotency_key is not None:
                keyed.setdefault((record.event.tenant_id, record.idempotency_key), record)
        mine = self._keys.run_new(connection, [key_row(record) for record in keyed.values()])
        under_key = {keyed[key].decision.decision_id for key in mine}
        claims = [r for r in first.values() if r.idempotency_key is None or r.decision.decision_id in under_key]
        rows = [event_row(record.event, record.decision.seq) for record in claims]
        won = self._events.run_new(connection, rows)
        pairs = list(zip(claims, rows, strict=True))
        self._let_go(connection, [r for r, _ in pairs if _key(r) not in won and r.idempotency_key is not None])
        return [(record, row) for record, row in pairs if _key(record) in won]

    def _let_go(self, connection: sa.Connection, losers: Sequence[Record]) -> None:
        """A key stands for an event that was decided under it."""
        for loser in losers:
            c = idempotency_keys.c
            same = (c.tenant_id == loser.event.tenant_id, c.key == loser.idempotency_key)
            connection.execute(idempotency_keys.delete().where(*same))

    def _append(self, connection: sa.Connection, winners: Sequence[tuple[Record, dict[str, Any]]], head: Head) -> Head:
        decisions, head = self._linked(winners, head)
        self._decisions.run(connection, decisions)
        bought, told = self._told([record for record, _ in winners])
        self._transactions.run(connection, bought)
        self._outbox.run(connection, told)
        return head

    def _linked(self, pairs: Iterable[tuple[Record, dict[str, Any]]], head: Head) -> tuple[list[dict[str, Any]], Head]:
        """The rows of `risk_decisions`, and the new end of the chain."""
        decisions = []
        for record, event in pairs:
            row = decision_row(record, self._writer, head)
            row["row_hash"] = link(head.hash, event, row)
            head = Head(row["chain_seq"], row["row_hash"])
            decisions.append(row)
        return decisions, head

    def _told(self, records: Sequence[Record]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The rows of `transactions` and of `outbox`."""
        bought = [transaction_row(record) for record in records if "currency" in record.event.fields]
        return bought, [outbox_row(record) for record in records]

    def _read_head(self, connection: sa.Connection) -> Head:
        last = (
            sa.select(risk_decisions.c.chain_seq, risk_decisions.c.row_hash)
            .where(risk_decisions.c.writer == self._writer)
            .order_by(risk_decisions.c.chain_seq.desc())
            .limit(1)
        )
        row = connection.execute(last).one_or_none()
        return Head() if row is None else Head(row.chain_seq, row.row_hash)

    def _answers(self, records: Sequence[Record], won: set[str]) -> list[Stored | FradectError]:
        lost = [_asked(record) for record in records if record.decision.decision_id not in won]
        found: Iterator[Stored | Unavailable | None] = iter(self._found(lost))
        return [
            _own(record) if record.decision.decision_id in won else next(found) or self._once_more(record, len(records))
            for record in records
        ]

    def _once_more(self, record: Record, beside: int) -> Stored | FradectError:
        """Whom it lost to was not decided either, because of another's key."""
        return self._commit([record], again=True)[0] if beside > 1 else _disagree(record)

    def _found(self, lost: Sequence[Asked]) -> Sequence[Stored | Unavailable | None]:
        try:
            return self.find_many(lost) if lost else []
        except Unavailable as error:
            return [error] * len(lost)


def _are_stored(keys: Mapping[str, DataKey]) -> None:
    for key in keys.values():
        key.is_stored = True


def _make_durable(connection: sa.Connection) -> None:
    try:
        connection.commit()
    except sa.exc.DBAPIError as error:
        raise unsure(reason(error)) from error


def _to_be_tried_again(error: sa.exc.DBAPIError) -> bool:
    return type(error.orig).__name__ in _TRY_AGAIN


def _in_doubt(answer: Stored | FradectError) -> Stored | FradectError:
    """It was written before, for all we know; only what is found now is certain."""
    if not isinstance(answer, Unavailable) or isinstance(answer, Uncertain):
        return answer
    return Uncertain(f"{answer}; it may be stored all the same: ask again under the same id")


def _key(record: Record) -> _Key:
    event = record.event
    return (event.tenant_id, event.module, event.event_id)


def _asked(record: Record) -> Asked:
    return Asked(*_key(record), record.idempotency_key)


def _own(record: Record) -> Stored:
    return Stored(record.decision.decision_id, record.request_digest, record.answer, record.event.event_id)


def _disagree(record: Record) -> Unavailable:
    return Unavailable(
        f"the ledger holds another event under the number of {record.event.event_id!r}; its log and the live state "
        "disagree: restart the service, which reconciles them"
    )


def _refused(record: Record, error: Exception) -> FradectError:
    said = reason(error) if isinstance(error, sa.exc.DBAPIError) else type(error).__name__
    what = f"the ledger cannot hold event {record.event.event_id[:64]!r} ({said})"
    if isinstance(error, sa.exc.IntegrityError):
        return Unavailable(f"{what}: ask again in a second")
    return InvalidInput(f"{what}: send it without what the database refuses")


def _gone(error: sa.exc.DBAPIError) -> Unavailable:
    return Unavailable(f"the ledger does not answer ({reason(error)})")
