"""Endpoints of webhooks in the ledger's database. Their secrets are sealed to their row, and shown once."""

import secrets as random
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa

from fradect.adapters import database
from fradect.adapters.webhook_tables import webhook_deliveries, webhook_endpoints
from fradect.deliveries import Endpoint, State, Why
from fradect.errors import NotFound, Refused

MOST = 16
"""Endpoints of one tenant."""
SECRET_FIELD = "webhook_secret"  # noqa: S105  the name under which they are sealed

_e = webhook_endpoints.c
_SHOWN = [column for column in _e if column.name not in ("secret", "old_secret", "active_since")]


class Vault(Protocol):
    """As fradect.ports.Vault, whose module brings along all that a decision needs: the relay is small without."""

    def seal(self, tenant_id: str, field: str, row: str, text: str) -> str: ...
    def open(self, tenant_id: str, field: str, row: str, cipher: str) -> str: ...


_LOST = "webhooks: the ledger does not answer"
reading, writing = partial(database.reading, lost=_LOST), partial(database.writing, lost=_LOST)


class SqlEndpoints:
    """Whoever asks names the tenant; what is another tenant's is NotFound."""

    def __init__(self, engine: sa.Engine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault

    def register(self, endpoint: Endpoint, secret: str) -> Endpoint:
        """Refused when the tenant has its sixteen already. The endpoint's id is given here."""
        endpoint_id = f"whe_{random.token_hex(12)}"
        row = {
            "id": endpoint_id,
            "tenant_id": endpoint.tenant_id,
            "url": endpoint.url,
            "events": msgspec.json.encode(endpoint.events).decode(),
            "description": endpoint.description,
            "secret": self._seal(endpoint.tenant_id, endpoint_id, secret),
            "created_at": endpoint.created_at,
            "active_since": endpoint.created_at,
        }
        with writing(self._engine) as connection:
            mine = sa.select(sa.func.count()).where(_e.tenant_id == endpoint.tenant_id)
            if connection.execute(mine).scalar_one() >= MOST:
                raise Refused(f"there are {MOST} webhooks already: delete one first")
            connection.execute(webhook_endpoints.insert(), row)
            return _shown(connection, endpoint.tenant_id, endpoint_id)

    def listed(self, tenant_id: str) -> list[Endpoint]:
        """The oldest first."""
        wanted = sa.select(*_SHOWN).where(_e.tenant_id == tenant_id).order_by(_e.created_at, _e.id)
        with reading(self._engine) as connection:
            return [endpoint_of(row) for row in connection.execute(wanted)]

    def shown(self, tenant_id: str, endpoint_id: str) -> Endpoint:
        with reading(self._engine) as connection:
            return _shown(connection, tenant_id, endpoint_id)

    def rotate(self, tenant_id: str, endpoint_id: str, secret: str, until: int) -> Endpoint:
        """The secret signs from now on; the one before it signs as well until then."""
        sealed = self._seal(tenant_id, endpoint_id, secret)
        return self._changed(
            tenant_id, endpoint_id, {"old_secret": _e.secret, "old_secret_until": until, "secret": sealed}
        )

    def disable(self, tenant_id: str, endpoint_id: str, now: int) -> Endpoint:
        """From now on it is told nothing, and what waited for it is dead."""
        with writing(self._engine) as connection:
            endpoint = _shown(connection, tenant_id, endpoint_id, locked=True)
            if endpoint.disabled_at is None:
                disable_all(connection, {endpoint_id: Why.CALLER}, now)
            return _shown(connection, tenant_id, endpoint_id)

    def enable(self, tenant_id: str, endpoint_id: str, now: int) -> Endpoint:
        """It is told of what happens from now on."""
        with writing(self._engine) as connection:
            endpoint = _shown(connection, tenant_id, endpoint_id, locked=True)
            if endpoint.disabled_at is not None:
                again = {"disabled_at": None, "disabled_why": None, "failing_since": None, "active_since": now}
                connection.execute(webhook_endpoints.update().where(_e.id == endpoint_id).values(again))
            return _shown(connection, tenant_id, endpoint_id)

    def delete(self, tenant_id: str, endpoint_id: str) -> None:
        """With all its deliveries."""
        with writing(self._engine) as connection:
            _shown(connection, tenant_id, endpoint_id, locked=True)
            connection.execute(webhook_endpoints.delete().where(_e.id == endpoint_id))
            connection.execute(webhook_deliveries.delete().where(webhook_deliveries.c.endpoint_id == endpoint_id))

    def _changed(self, tenant_id: str, endpoint_id: str, values: dict[str, Any]) -> Endpoint:
        change = webhook_endpoints.update().where(_e.tenant_id == tenant_id, _e.id == endpoint_id)
        with writing(self._engine) as connection:
            connection.execute(change.values(values))
            return _shown(connection, tenant_id, endpoint_id)

    def _seal(self, tenant_id: str, endpoint_id: str, secret: str) -> str:
        return self._vault.seal(tenant_id, SECRET_FIELD, endpoint_id, secret)


def find(connection: sa.Connection, tenant_id: str, endpoint_id: str) -> Endpoint:
    """Locked until the transaction ends; NotFound."""
    return _shown(connection, tenant_id, endpoint_id, locked=True)


def disable_all(connection: sa.Connection, why: dict[str, Why], now: int) -> None:
    """Endpoints by id. What waits for them is dead; a lease that somebody holds on it ends."""
    for endpoint_id, its in why.items():
        change = webhook_endpoints.update().where(_e.id == endpoint_id, _e.disabled_at.is_(None))
        connection.execute(change.values(disabled_at=now, disabled_why=str(its)))
        d = webhook_deliveries.c
        waiting = webhook_deliveries.update().where(d.endpoint_id == endpoint_id, d.state == str(State.WAITING))
        dead = {"state": str(State.DEAD), "finished_at": now, "owner": None, "last_error": "endpoint-disabled"}
        connection.execute(waiting.values(dead))


def endpoint_of(row: sa.Row[Any]) -> Endpoint:
    return Endpoint(
        id=row.id,
        tenant_id=row.tenant_id,
        url=row.url,
        events=events_of(row.events),
        description=row.description,
        created_at=row.created_at,
        old_secret_until=row.old_secret_until,
        disabled_at=row.disabled_at,
        disabled_why=None if row.disabled_why is None else Why(row.disabled_why),
        failing_since=row.failing_since,
    )


def events_of(text: str) -> tuple[str, ...]:
    held: Sequence[str] = msgspec.json.decode(text)
    return tuple(held)


def _shown(connection: sa.Connection, tenant_id: str, endpoint_id: str, *, locked: bool = False) -> Endpoint:
    wanted = sa.select(*_SHOWN).where(_e.tenant_id == tenant_id, _e.id == endpoint_id)
    row = connection.execute(wanted.with_for_update() if locked else wanted).one_or_none()
    if row is None:
        raise NotFound("no such webhook")
    return endpoint_of(row)
