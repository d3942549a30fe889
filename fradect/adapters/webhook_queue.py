"""The relay's side of webhooks: from the outbox to deliveries, leased, sent elsewhere, settled, and in time forgotten.

Several relays may work on one database. A lease ends by itself, so what a relay took and did not settle is due again.
"""

import logging
import secrets as random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from fradect.adapters.tables import outbox
from fradect.adapters.webhook_deliveries import delivery_row
from fradect.adapters.webhook_endpoints import SECRET_FIELD, Vault, disable_all, events_of, reading, writing
from fradect.adapters.webhook_tables import webhook_deliveries, webhook_endpoints
from fradect.crash import crash_point
from fradect.deliveries import Attempt, Fate, State, Why, has_failed_long, message
from fradect.errors import Refused
from fradect.types import DAY, HOUR, SECOND

log = logging.getLogger(__name__)

LEASE = 60 * SECOND
"""Several times as long as a try may take."""
_HANDED_ON = 200  # rows of the outbox in one transaction: decisions are committed between two of them
_PASSED_OVER = 2_000
_PRUNED = 500

_e, _d, _o = webhook_endpoints.c, webhook_deliveries.c, outbox.c
_NOT_HANDED_ON = _o.delivered_at.is_(None)
_IS_WAITING = _d.state == sa.literal_column(f"'{State.WAITING}'")  # in the statement, so that its own index serves


@dataclass(frozen=True, slots=True)
class Kept:
    """For how long what is done with stays, in microseconds. Of the outbox nobody reads what was handed on."""

    outbox: int = HOUR
    delivered: int = DAY
    dead: int = 30 * DAY


@dataclass(frozen=True, slots=True)
class Told:
    """An endpoint that is told: `events` since `since`, signed by `secrets`. `is_due`: something waits for it.

    It has no secrets where they do not open under this home's key.
    """

    id: str
    tenant_id: str
    url: str
    events: tuple[str, ...]
    since: int
    secrets: tuple[str, ...]
    failing_since: int | None
    is_due: bool


@dataclass(frozen=True, slots=True)
class Leased:
    """A delivery that this relay alone may try until `until`; `attempts` counts this try too."""

    id: str
    endpoint_id: str
    message_id: str
    event: str
    body: bytes
    attempts: int
    until: int


@dataclass(frozen=True, slots=True)
class Tried:
    """A try that was made, and what becomes of its delivery."""

    leased: Leased
    attempt: Attempt
    fate: Fate
    at: int


class WebhookQueue:
    """Outbox and deliveries of one database, for one relay."""

    def __init__(self, engine: sa.Engine, vault: Vault, kept: Kept | None = None) -> None:
        self._engine = engine
        self._kept = kept or Kept()
        self._opened = lru_cache(maxsize=4096)(vault.open)
        self._owner = f"relay_{random.token_hex(8)}"

    def is_wanted(self) -> bool:
        """Whether anybody is told anything."""
        with reading(self._engine) as connection:
            return connection.execute(sa.select(_e.id).where(_e.disabled_at.is_(None)).limit(1)).first() is not None

    def oldest(self) -> int | None:
        """When the first thing happened that was not handed on yet."""
        with reading(self._engine) as connection:
            first = sa.select(_o.created_at).where(_NOT_HANDED_ON).order_by(_o.id).limit(1)
            return connection.execute(first).scalar_one_or_none()

    def told(self, now: int) -> list[Told]:
        """Every endpoint that is not disabled."""
        due = sa.exists().where(_d.endpoint_id == _e.id, _IS_WAITING, _d.due_at <= now)
        wanted = sa.select(webhook_endpoints, due.label("is_due")).where(_e.disabled_at.is_(None))
        with reading(self._engine) as connection:
            return [self._told(row, now) for row in connection.execute(wanted)]

    def _told(self, row: sa.Row[Any], now: int) -> Told:
        sealed = [row.secret]
        if row.old_secret is not None and now < row.old_secret_until:
            sealed.append(row.old_secret)
        try:
            secrets = tuple(self._opened(row.tenant_id, SECRET_FIELD, row.id, cipher) for cipher in sealed)
        except Refused as error:
            log.error("webhook %s: %s", row.id, error)
            secrets = ()
        held = (row.id, row.tenant_id, row.url, events_of(row.events), row.active_since)
        return Told(*held, secrets, row.failing_since, row.is_due)

    def hand_on(self, told: Sequence[Told], now: int) -> tuple[int, set[str]]:
        """One group of the outbox becomes deliveries: how many rows it was, and the endpoints that are now due."""
        if not told or self.oldest() is None:
            return 0, set()
        since = min(one.since for one in told)
        waiting = sa.select(outbox).where(_NOT_HANDED_ON).order_by(_o.id).limit(_HANDED_ON)
        with writing(self._engine) as connection:
            rows = connection.execute(waiting.with_for_update(skip_locked=True)).all()
            if not rows:
                return 0, set()
            if rows[-1].created_at < since:
                return self._pass_over(connection, since, now), set()
            still = _still_told(connection, told)
            made = [row for one in rows for row in _deliveries(one, still, now)]
            if made:
                connection.execute(webhook_deliveries.insert(), made)
            done = outbox.update().where(_o.id.in_([row.id for row in rows]))
            connection.execute(done.values(delivered_at=now))
            crash_point("relay-handing-on")
        return len(rows), {row["endpoint_id"] for row in made}

    def _pass_over(self, connection: sa.Connection, since: int, now: int) -> int:
        """What happened before anybody wanted to be told."""
        early = sa.select(_o.id).where(_NOT_HANDED_ON, _o.created_at < since).order_by(_o.id).limit(_PASSED_OVER)
        chosen = early.with_for_update(skip_locked=True)
        return connection.execute(outbox.update().where(_o.id.in_(chosen)).values(delivered_at=now)).rowcount

    def lease(self, wanted: Mapping[str, int], now: int) -> list[Leased]:
        """For each endpoint at most so many, those that are due longest. Nobody else gets them until the lease ends."""
        taken: list[Leased] = []
        with writing(self._engine) as connection:
            for endpoint_id, most in wanted.items():
                due = sa.select(_d.id).where(_d.endpoint_id == endpoint_id, _IS_WAITING, _d.due_at <= now)
                chosen = due.order_by(_d.due_at).limit(most).with_for_update(skip_locked=True)
                ids = connection.execute(chosen).scalars().all()
                mine = {"owner": self._owner, "due_at": now + LEASE, "attempts": _d.attempts + 1, "tried_at": now}
                change = webhook_deliveries.update().where(_d.id.in_(ids)).values(mine)
                rows = connection.execute(change.returning(*_LEASED)) if ids else ()
                taken += [Leased(*row) for row in rows]
        crash_point("relay-leased")
        return taken

    def settle(self, tried: Sequence[Tried]) -> None:
        """What became of tries whose lease is still ours; an endpoint that is gone, or failed for days, is disabled."""
        crash_point("relay-sent")
        by_endpoint = _by_endpoint(tried)
        with writing(self._engine) as connection:
            of_these = sa.select(_e.id).where(_e.id.in_(by_endpoint)).order_by(_e.id)
            connection.execute(of_these.with_for_update())  # endpoints before deliveries, as everybody locks them
            for one in tried:
                connection.execute(self._settled(one))
            for endpoint_id, of_endpoint in by_endpoint.items():
                self._judge(connection, endpoint_id, of_endpoint)

    def _settled(self, one: Tried) -> sa.Update:
        leased, fate = one.leased, one.fate
        still = (_d.id == leased.id, _d.owner == self._owner, _d.attempts == leased.attempts, _IS_WAITING)
        return (
            webhook_deliveries.update()
            .where(*still)
            .values(
                state=str(fate.state),
                due_at=fate.due_at,
                owner=None,
                finished_at=None if fate.state == State.WAITING else one.at,
                last_status=one.attempt.status,
                last_error=one.attempt.error,
            )
        )

    def _judge(self, connection: sa.Connection, endpoint_id: str, tried: Sequence[Tried]) -> None:
        last = tried[-1].at
        of_it = webhook_endpoints.update().where(_e.id == endpoint_id)
        if any(one.attempt.is_gone for one in tried):
            disable_all(connection, {endpoint_id: Why.GONE}, last)
        elif any(one.attempt.is_delivered for one in tried):
            connection.execute(of_it.where(_e.failing_since.is_not(None)).values(failing_since=None))
        else:
            connection.execute(of_it.where(_e.failing_since.is_(None)).values(failing_since=tried[0].at))
            since = connection.execute(sa.select(_e.failing_since).where(_e.id == endpoint_id)).scalar_one_or_none()
            if has_failed_long(since, last):
                disable_all(connection, {endpoint_id: Why.FAILING}, last)

    def prune(self, now: int, *, is_wanted: bool) -> int:
        """Forget what is old enough, a little at a time; of the outbox also what nobody is told of. How much went."""
        kept = self._kept
        first = sa.select(_o.id, _o.created_at, _o.delivered_at).order_by(_o.id)
        with reading(self._engine) as connection:
            oldest = connection.execute(first.limit(1)).first()
            is_time = oldest is not None and oldest.created_at < now - kept.outbox
            rows = connection.execute(first.limit(_PRUNED)).all() if is_time else ()
            ends = {State.DELIVERED: now - kept.delivered, State.DEAD: now - kept.dead}
            old = [id_ for state, end in ends.items() for id_ in connection.execute(_finished(state, end)).scalars()]
        done = [
            r.id for r in rows if r.created_at < now - kept.outbox and (r.delivered_at is not None or not is_wanted)
        ]
        if not done and not old:
            return 0
        with writing(self._engine) as connection:
            gone = connection.execute(outbox.delete().where(_o.id.in_(done))).rowcount
            return gone + connection.execute(webhook_deliveries.delete().where(_d.id.in_(old))).rowcount


_LEASED = (_d.id, _d.endpoint_id, _d.message_id, _d.event, _d.body, _d.attempts, _d.due_at)


def _deliveries(row: sa.Row[Any], told: Sequence[Told], now: int) -> list[dict[str, Any]]:
    """One message to everybody who wants to be told of it."""
    listeners = [
        one
        for one in told
        if one.tenant_id == row.tenant_id and row.event in one.events and one.since <= row.created_at
    ]
    if not listeners:
        return []
    body = message(row.event, bytes(row.data), row.created_at)
    made = [delivery_row(one.tenant_id, one.id, row.event, body, now) for one in listeners]
    return [{**delivery, "message_id": made[0]["message_id"]} for delivery in made]


def _still_told(connection: sa.Connection, told: Sequence[Told]) -> list[Told]:
    """Who was not disabled or deleted since, and is not until the transaction ends."""
    wanted = sa.select(_e.id).where(_e.id.in_([one.id for one in told]), _e.disabled_at.is_(None)).order_by(_e.id)
    still = set(connection.execute(wanted.with_for_update(read=True)).scalars())
    return [one for one in told if one.id in still]


def _by_endpoint(tried: Sequence[Tried]) -> dict[str, list[Tried]]:
    found: dict[str, list[Tried]] = {}
    for one in tried:
        found.setdefault(one.leased.endpoint_id, []).append(one)
    return found


def _finished(state: State, before: int) -> sa.Select[tuple[str]]:
    return sa.select(_d.id).where(_d.finished_at < before, _d.state == str(state)).limit(_PRUNED)
