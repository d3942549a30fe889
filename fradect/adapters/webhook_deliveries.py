"""Deliveries of webhooks as their owner sees them: listed, replayed, and asked for as a test."""

import secrets as random
from typing import Any

import sqlalchemy as sa

from fradect.adapters.webhook_endpoints import find, reading, writing
from fradect.adapters.webhook_tables import webhook_deliveries, webhook_endpoints
from fradect.deliveries import TEST, Delivery, Endpoint, Page, State, message
from fradect.errors import NotFound, Refused

_d = webhook_deliveries.c
_SHOWN = [column for column in _d if column.name not in ("tenant_id", "endpoint_id", "body", "owner")]


class SqlDeliveries:
    """Whoever asks names the tenant; what is another tenant's is NotFound."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def listed(self, tenant_id: str, endpoint_id: str, page: Page) -> list[Delivery]:
        wanted = sa.select(*_SHOWN).where(_d.endpoint_id == endpoint_id, _d.tenant_id == tenant_id)
        if page.state is not None:
            wanted = wanted.where(_d.state == sa.literal_column(f"'{page.state}'"))  # so that its own index serves
        if page.before is not None:
            wanted = wanted.where(_d.id < page.before)
        mine = sa.select(webhook_endpoints.c.id).where(
            webhook_endpoints.c.id == endpoint_id, webhook_endpoints.c.tenant_id == tenant_id
        )
        with reading(self._engine) as connection:
            if connection.execute(mine).first() is None:
                raise NotFound("no such webhook")
            rows = connection.execute(wanted.order_by(_d.id.desc()).limit(page.most))
            return [delivery_of(row) for row in rows]

    def replay(self, tenant_id: str, endpoint_id: str, delivery_id: str, now: int) -> Delivery:
        """A dead one has all its tries again, under the message's own id. Refused when it is not dead."""
        with writing(self._engine) as connection:
            _active(find(connection, tenant_id, endpoint_id))
            mine = (_d.id == delivery_id, _d.endpoint_id == endpoint_id)
            row = connection.execute(sa.select(_d.state).where(*mine).with_for_update()).one_or_none()
            if row is None:
                raise NotFound("no such delivery")
            if row.state != State.DEAD:
                raise Refused(f"the delivery is {row.state}: only a dead one is replayed")
            anew = {"state": str(State.WAITING), "attempts": 0, "due_at": now, "finished_at": None, "owner": None}
            connection.execute(webhook_deliveries.update().where(*mine).values(anew))
            return _shown(connection, delivery_id)

    def test(self, tenant_id: str, endpoint_id: str, now: int) -> Delivery:
        """A message of its own kind, whatever events the endpoint is told of."""
        with writing(self._engine) as connection:
            _active(find(connection, tenant_id, endpoint_id))
            body = message(TEST, {"webhook_id": endpoint_id}, now)
            row = delivery_row(tenant_id, endpoint_id, TEST, body, now)
            connection.execute(webhook_deliveries.insert(), row)
            return _shown(connection, row["id"])


def delivery_row(tenant_id: str, endpoint_id: str, event: str, body: bytes, now: int) -> dict[str, Any]:
    """One that is due now, of a message of its own. Ids sort by time."""
    return {
        "id": f"dlv_{now:013x}{random.token_hex(6)}",
        "tenant_id": tenant_id,
        "endpoint_id": endpoint_id,
        "message_id": f"msg_{random.token_hex(12)}",
        "event": event,
        "body": body,
        "state": str(State.WAITING),
        "attempts": 0,
        "due_at": now,
        "created_at": now,
    }


def delivery_of(row: sa.Row[Any]) -> Delivery:
    return Delivery(**{**row._mapping, "state": State(row.state)})


def _active(endpoint: Endpoint) -> None:
    if endpoint.disabled_at is not None:
        raise Refused("the webhook is disabled: enable it first")


def _shown(connection: sa.Connection, delivery_id: str) -> Delivery:
    return delivery_of(connection.execute(sa.select(*_SHOWN).where(_d.id == delivery_id)).one())
