"""The ledger in SQL: event, transaction, decision and outbox row in one transaction, chained, durable."""

import struct
import threading
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from fradect.adapters.chain import CHAIN_FORMAT, GENESIS, link
from fradect.adapters.database import OnlyWriter, migrate, open_database, sqlite_path
from fradect.adapters.prepared import Prepared
from fradect.adapters.tables import event_row, events, outbox, risk_decisions, transactions
from fradect.errors import Unavailable
from fradect.ports import Record, Stored
from fradect.types import Action

STATUS = {Action.APPROVE: "approved", Action.REVIEW: "in_review", Action.DECLINE: "declined"}
_ABOUT = ("merchant_id", "payment_method", "channel")  # what a transaction's metadata repeats of its event

_LATER = frozenset({"outcome", "outcome_updated_at", "delivered_at"})  # and the outbox numbers its rows itself

_json = msgspec.json.Encoder(order="deterministic")
_STORED = sa.select(risk_decisions.c.id, risk_decisions.c.request_digest, risk_decisions.c.answer).where(
    risk_decisions.c.tenant_id == sa.bindparam("tenant"),
    risk_decisions.c.module == sa.bindparam("in_module"),
    risk_decisions.c.entity_id == sa.bindparam("entity"),
)


class SqlLedger:
    """Ledger on SQLAlchemy. One writer: on SQLite a second process is refused, elsewhere each has its own chain."""

    def __init__(self, url: str, writer: str = "main") -> None:
        """Refused when another process writes to the file; Unavailable when the database is not to be had."""
        self.engine = open_database(url)
        path = sqlite_path(self.engine)
        self._only = None if path is None else OnlyWriter(path)
        if self._only is not None:
            self._only.take()
        self._writer = writer
        dialect = self.engine.dialect
        self._find = Prepared(_STORED, dialect)
        self._insert = {
            table.name: Prepared(
                table.insert(),
                dialect,
                [c.name for c in table.columns if c.name not in _LATER and c is not outbox.c.id],
            )
            for table in (events, risk_decisions, transactions, outbox)
        }
        self._turn = threading.Lock()
        self._head: _Head | None = None
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
        whose = {"tenant": tenant_id, "in_module": module, "entity": event_id}
        try:
            with self.engine.connect() as connection:
                row = self._find.run(connection, whose).one_or_none()
        except sa.exc.DBAPIError as error:
            raise _gone(error) from error
        return None if row is None else Stored(*row)

    def commit(self, record: Record) -> Stored:
        """Durable when it returns. The loser of a race for an event id gets what the winner stored."""
        try:
            self._write(record)
        except sa.exc.IntegrityError as error:
            return self._winner(record, error)
        except sa.exc.DBAPIError as error:
            raise _gone(error) from error
        return Stored(record.decision.decision_id, record.request_digest, record.answer)

    def _write(self, record: Record) -> None:
        with self._turn:
            head, self._head = self._head, None  # after an error it is read again
            with self.engine.begin() as connection:
                head = head or self._read_head(connection)
                event = event_row(record.event, record.decision.seq)
                self._insert["events"].run(connection, event)
                decision = decision_row(record, self._writer, head)
                decision["row_hash"] = link(head.hash, event, decision)
                self._insert["risk_decisions"].run(connection, decision)
                if "currency" in record.event.fields:
                    self._insert["transactions"].run(connection, _transaction_row(record))
                self._insert["outbox"].run(connection, _outbox_row(record))
            self._head = _Head(decision["chain_seq"], decision["row_hash"])

    def _read_head(self, connection: sa.Connection) -> "_Head":
        last = (
            sa.select(risk_decisions.c.chain_seq, risk_decisions.c.row_hash)
            .where(risk_decisions.c.writer == self._writer)
            .order_by(risk_decisions.c.chain_seq.desc())
            .limit(1)
        )
        row = connection.execute(last).one_or_none()
        return _Head(0, GENESIS) if row is None else _Head(row.chain_seq, row.row_hash)

    def _winner(self, record: Record, error: sa.exc.IntegrityError) -> Stored:
        event = record.event
        stored = self.find(event.tenant_id, event.module, event.event_id)
        if stored is None:
            raise Unavailable(
                f"the ledger refused event {event.event_id!r} ({error.orig}); its log and the live state disagree: "
                "restart the service, which reconciles them"
            ) from error
        return stored


@dataclass(frozen=True, slots=True)
class _Head:
    """The end of a writer's chain."""

    seq: int
    hash: bytes


def decision_row(record: Record, writer: str, head: _Head) -> dict[str, Any]:
    """Every column of the row but its own hash."""
    decision = record.decision
    return {
        "id": decision.decision_id,
        "tenant_id": decision.tenant_id,
        "module": decision.module,
        "entity_type": record.subject,
        "entity_id": decision.event_id,
        "request_id": decision.request_id,
        "request_digest": record.request_digest,
        "options": _text(record.options),
        "seq": decision.seq,
        "score": decision.score,
        "decision": decision.action.name,
        "probability": decision.probability,
        "factors": _text(decision.factors),
        "could_not_run": _text(decision.could_not_run),
        "degraded": _text(decision.degraded),
        "vector": struct.pack(f"<{len(decision.vector.values)}d", *decision.vector.values),
        "missing": _text(dict(decision.vector.missing)),
        "model_version": decision.release_id,
        "timings": _text(dict(decision.timings_us)),
        "created_at": decision.decided_at,
        "answer": record.answer,
        "writer": writer,
        "chain_seq": head.seq + 1,
        "prev_hash": head.hash,
        "signals": _text(dict(decision.signals)),
        "chain_format": CHAIN_FORMAT,
    }


def _transaction_row(record: Record) -> dict[str, Any]:
    event, decision = record.event, record.decision
    return {
        "tenant_id": event.tenant_id,
        "id": event.event_id,
        "customer_id": event.fields.get("customer_id"),
        "amount": event.fields["amount"],
        "currency": event.fields["currency"],
        "status": STATUS[decision.action],
        "risk_score": decision.score,
        "decision": decision.action.name,
        "created_at": event.event_time,
        "metadata": _text({name: event.fields[name] for name in _ABOUT if event.fields.get(name) is not None}),
    }


def _outbox_row(record: Record) -> dict[str, Any]:
    decision = record.decision
    data = {
        "decision_id": decision.decision_id,
        "entity_type": record.subject,
        "entity_id": decision.event_id,
        "score": decision.score,
        "decision": decision.action.name,
    }
    return {
        "tenant_id": decision.tenant_id,
        "event": "risk.decision.created",
        "decision_id": decision.decision_id,
        "data": _json.encode(data),
        "created_at": decision.decided_at,
    }


def _text(value: Any) -> str:
    return _json.encode(value).decode()


def _gone(error: sa.exc.DBAPIError) -> Unavailable:
    return Unavailable(f"the ledger does not answer ({type(error.orig).__name__}): {error.orig}")
