"""The SQL tables. Times are microseconds since the epoch, amounts minor units; text columns named so hold JSON.

Two sets: the ledger, which the service alone writes, and what other processes write too. In the embedded profile
each is a file, since SQLite takes one writer.
"""

from typing import Any

import msgspec
import sqlalchemy as sa

from fradect.types import Event

_json = msgspec.json.Encoder(order="deterministic")


def some_rows(condition: str) -> dict[str, Any]:
    """For an index that holds these only."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


LEDGER = sa.MetaData()
SHARED = sa.MetaData()


def _key_columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("wrapped", sa.LargeBinary),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("destroyed_at", sa.BigInteger),
    )


_ROW = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite numbers rows only where the type says INTEGER

# The event log's SQL side; ingestion compacts it to Parquet. `seq` is null until an event that was decided without
# the live state has been given its place.
events = sa.Table(
    "events",
    LEDGER,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("module", sa.String(64), primary_key=True),
    sa.Column("event_id", sa.String(256), primary_key=True),
    sa.Column("seq", sa.BigInteger),
    sa.Column("event_time", sa.BigInteger, nullable=False),
    sa.Column("observed_at", sa.BigInteger, nullable=False),
    sa.Column("fields", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("tenant_id", "module", "seq", name="events_seq"),
)

transactions = sa.Table(
    "transactions",
    LEDGER,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(256), primary_key=True),
    sa.Column("customer_id", sa.String(256)),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("risk_score", sa.Integer, nullable=False),
    sa.Column("decision", sa.String(16), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("metadata", sa.Text, nullable=False),
    sa.Index("transactions_customer", "tenant_id", "customer_id", "created_at"),
)

# Written once, but for the two outcome columns, which the chain does not cover. `chain_format`: which columns it does.
risk_decisions = sa.Table(
    "risk_decisions",
    LEDGER,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("module", sa.String(64), nullable=False),
    sa.Column("entity_type", sa.String(64), nullable=False),
    sa.Column("entity_id", sa.String(256), nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("request_digest", sa.String(64), nullable=False),
    sa.Column("options", sa.Text, nullable=False),
    sa.Column("seq", sa.BigInteger),
    sa.Column("score", sa.Integer, nullable=False),
    sa.Column("decision", sa.String(16), nullable=False),
    sa.Column("probability", sa.Double),
    sa.Column("factors", sa.Text, nullable=False),
    sa.Column("could_not_run", sa.Text, nullable=False),
    sa.Column("degraded", sa.Text, nullable=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),  # float64, little-endian, in the contract's order
    sa.Column("missing", sa.Text, nullable=False),
    sa.Column("model_version", sa.String(64), nullable=False),  # the release
    sa.Column("timings", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("answer", sa.LargeBinary, nullable=False),
    sa.Column("writer", sa.String(64), nullable=False),
    sa.Column("chain_seq", sa.BigInteger, nullable=False),
    sa.Column("prev_hash", sa.LargeBinary(32), nullable=False),
    sa.Column("row_hash", sa.LargeBinary(32), nullable=False),
    sa.Column("outcome", sa.String(32)),
    sa.Column("outcome_updated_at", sa.BigInteger),
    sa.Column("signals", sa.Text, nullable=False, server_default="{}"),
    sa.Column("chain_format", sa.Integer, nullable=False, server_default="1"),
    sa.Column("propensity", sa.Double),
    sa.UniqueConstraint("tenant_id", "module", "entity_id", name="risk_decisions_entity"),
    sa.UniqueConstraint("writer", "chain_seq", name="risk_decisions_chain"),
    sa.Index("risk_decisions_page", "tenant_id", "created_at", "id"),
    sa.Index("risk_decisions_outcome", "tenant_id", "outcome", "created_at", "id", **some_rows("outcome IS NOT NULL")),
    sa.Index("risk_decisions_drawn", "tenant_id", "module", "created_at", **some_rows("propensity IS NOT NULL")),
)

# What a decision turned out to be, as it was told: corrections are added, nothing is changed. `known_at` is when it was
# known, `told_at` when we were told, `origin` by whom. `number`: the outcome's own in the live state.
decision_outcomes = sa.Table(
    "decision_outcomes",
    LEDGER,
    sa.Column("id", _ROW, primary_key=True, autoincrement=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("decision_id", sa.String(64), nullable=False),
    sa.Column("outcome", sa.String(32), nullable=False),
    sa.Column("known_at", sa.BigInteger, nullable=False),
    sa.Column("told_at", sa.BigInteger, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("note", sa.Text),
    sa.Column("number", sa.BigInteger),
    sa.UniqueConstraint("tenant_id", "decision_id", "known_at", "outcome", name="decision_outcomes_once"),
)

# Which event a caller's Idempotency-Key (its SHA-256) was first used for.
idempotency_keys = sa.Table(
    "idempotency_keys",
    LEDGER,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("module", sa.String(64), nullable=False),
    sa.Column("entity_id", sa.String(256), nullable=False),
    sa.Column("request_digest", sa.String(64), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

# Under which a customer's personal fields are sealed; `owner` is a keyed hash of the customer, `wrapped` the key under
# the home's own, NULL once it was destroyed. A customer may have several; each ciphertext names its own.
data_keys = sa.Table("data_keys", LEDGER, *_key_columns(), sa.Index("data_keys_owner", "tenant_id", "owner"))

# Where each chain had come to on a day, all writers together; the checkpoints are a chain of their own.
chain_checkpoints = sa.Table(
    "chain_checkpoints",
    LEDGER,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("day", sa.String(10), nullable=False),
    sa.Column("writer", sa.String(64), nullable=False),
    sa.Column("chain_seq", sa.BigInteger, nullable=False),
    sa.Column("row_hash", sa.LargeBinary(32), nullable=False),
    sa.Column("prev_hash", sa.LargeBinary(32), nullable=False),
    sa.Column("hash", sa.LargeBinary(32), nullable=False),
    sa.UniqueConstraint("day", "writer", name="chain_checkpoints_day"),
)

# What is to be told to others, written with what it tells of. `delivered_at`: when it became a delivery to each
# endpoint that is told of it, or to none.
outbox = sa.Table(
    "outbox",
    LEDGER,
    sa.Column("id", _ROW, primary_key=True, autoincrement=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("event", sa.String(64), nullable=False),
    sa.Column("decision_id", sa.String(64), nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("delivered_at", sa.BigInteger),
    sa.Index("outbox_waiting", "id", **some_rows("delivered_at IS NULL")),
)

# Figures that batch work measures, for /metrics: the newest row of a name and its labels counts.
measurements = sa.Table(
    "measurements",
    SHARED,
    sa.Column("id", _ROW, primary_key=True, autoincrement=True),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("labels", sa.Text, nullable=False),
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("measured_at", sa.BigInteger, nullable=False),
    sa.Index("measurements_name", "name", "labels", "measured_at"),
)

# `digest`: HMAC-SHA256 of the secret under a pepper that is not in the database. `kind`: live or test; `replaces`: the
# key that this one was rotated in for; `last_used_at`: to within a minute.
api_keys = sa.Table(
    "api_keys",
    SHARED,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("revoked_at", sa.BigInteger),
    sa.Column("kind", sa.String(8), nullable=False, server_default="live"),
    sa.Column("name", sa.String(128), nullable=False, server_default=""),
    sa.Column("created_by", sa.String(256), nullable=False, server_default=""),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("last_used_at", sa.BigInteger),
    sa.Column("revoked_by", sa.String(256)),
    sa.Column("replaces", sa.String(32)),
)

# Events taken from a stream: the event log's SQL side beside `events`, which only the service writes. `origin`:
# topic/partition/offset; `compacted`: known to be in the Parquet log.
stream_events = sa.Table(
    "stream_events",
    SHARED,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("module", sa.String(64), primary_key=True),
    sa.Column("event_id", sa.String(1024), primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("event_time", sa.BigInteger, nullable=False),
    sa.Column("observed_at", sa.BigInteger, nullable=False),
    sa.Column("fields", sa.LargeBinary, nullable=False),
    sa.Column("origin", sa.String(512), nullable=False),
    sa.Column("compacted", sa.Boolean, nullable=False),
    sa.UniqueConstraint("tenant_id", "module", "seq", name="stream_events_seq"),
    sa.Index("stream_events_compacted", "tenant_id", "module", "compacted", "seq"),
)

# What became known of events. `number` is the outcome's own, `seq` and `event_time` are its event's: all three are
# null while it waits for its event. `learnt`: the live state has it.
outcomes = sa.Table(
    "outcomes",
    SHARED,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("module", sa.String(64), primary_key=True),
    sa.Column("event_id", sa.String(1024), primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("value", sa.Boolean, nullable=False),
    sa.Column("known_at", sa.BigInteger, nullable=False),
    sa.Column("number", sa.BigInteger),
    sa.Column("seq", sa.BigInteger),
    sa.Column("event_time", sa.BigInteger),
    sa.Column("origin", sa.String(512), nullable=False),
    sa.Column("learnt", sa.Boolean, nullable=False),
    sa.Column("compacted", sa.Boolean, nullable=False),
    sa.UniqueConstraint("tenant_id", "module", "number", name="outcomes_number"),
    sa.Index("outcomes_learnt", "tenant_id", "module", "learnt", "number"),
    sa.Index("outcomes_compacted", "tenant_id", "module", "compacted", "number"),
)

# How far each part of a stream has been taken: `position` is the offset of the next message. Written in the
# transaction of the data, and only over the position that the writer started from.
stream_offsets = sa.Table(
    "stream_offsets",
    SHARED,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("module", sa.String(64), primary_key=True),
    sa.Column("source", sa.String(512), primary_key=True),
    sa.Column("topic", sa.String(512), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
)

# Messages that failed and are not past yet.
stream_attempts = sa.Table(
    "stream_attempts",
    SHARED,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("module", sa.String(64), primary_key=True),
    sa.Column("source", sa.String(512), primary_key=True),
    sa.Column("topic", sa.String(512), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("first_seen", sa.BigInteger, nullable=False),
)

# Allow and deny lists. A row is in force from when it was added until it is removed or `until` has come; it stays.
list_entries = sa.Table(
    "list_entries",
    SHARED,
    sa.Column("id", _ROW, primary_key=True, autoincrement=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("module", sa.String(64), nullable=False),
    sa.Column("list", sa.String(8), nullable=False),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("value", sa.String(256), nullable=False),
    sa.Column("until", sa.BigInteger),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("added_at", sa.BigInteger, nullable=False),
    sa.Column("added_by", sa.String(256), nullable=False),
    sa.Column("removed_at", sa.BigInteger),
    sa.Column("removed_by", sa.String(256)),
    sa.Index("list_entries_value", "tenant_id", "module", "list", "kind", "value"),
)

# The same as data_keys for what was imported, or came by a stream: the ledger's file has one writer.
imported_data_keys = sa.Table(
    "imported_data_keys", SHARED, *_key_columns(), sa.Index("imported_data_keys_owner", "tenant_id", "owner")
)

# As flows/customers.py leaves them. `email` and `phone` are ciphertext, `..._token` the keyed hash to find them by.
customers = sa.Table(
    "customers",
    SHARED,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(256), primary_key=True),
    sa.Column("email", sa.Text),
    sa.Column("email_token", sa.String(64)),
    sa.Column("phone", sa.Text),
    sa.Column("phone_token", sa.String(64)),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Column("risk_tier", sa.String(20), nullable=False),
    sa.Column("fraud_score", sa.Integer, nullable=False),
    sa.Column("metadata", sa.Text, nullable=False),
    sa.Index("customers_email", "tenant_id", "email_token"),
    sa.Index("customers_phone", "tenant_id", "phone_token"),
)

# Who was erased. `until`: by module the highest number that the erasure covers; `done`: by step what it did;
# `pseudonym`: who the customer's events of before are of, in whatever is made of the log.
erasures = sa.Table(
    "erasures",
    SHARED,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("customer_id", sa.String(256), nullable=False),
    sa.Column("pseudonym", sa.String(64), nullable=False),
    sa.Column("requested_at", sa.BigInteger, nullable=False),
    sa.Column("requested_by", sa.String(256), nullable=False),
    sa.Column("until", sa.Text, nullable=False),
    sa.Column("done", sa.Text, nullable=False),
    sa.Column("completed_at", sa.BigInteger),
    sa.Column("receipt", sa.LargeBinary),
    sa.Index("erasures_customer", "tenant_id", "customer_id", "requested_at"),
    sa.Index("erasures_time", "requested_at"),
)


def event_row(event: Event, seq: int | None) -> dict[str, Any]:
    """What `events` and `stream_events` hold of an event; bytes that the ledger's chain covers."""
    return {
        "tenant_id": event.tenant_id,
        "module": event.module,
        "event_id": event.event_id,
        "seq": seq,
        "event_time": event.event_time,
        "observed_at": event.observed_at,
        "fields": _json.encode(dict(event.fields)),
    }
