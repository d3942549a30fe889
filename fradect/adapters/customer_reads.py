"""What SQL holds of a customer: decisions about purchases, and the row that the flow `customers` keeps."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from fradect.adapters.database import reason
from fradect.adapters.tables import customers, events, risk_decisions, transactions
from fradect.adapters.vault import HomeVault
from fradect.customers import ERASED, Customer, Logged, Purchase
from fradect.errors import Refused, Unavailable
from fradect.modules import module_of
from fradect.modules.declaration import FieldType

MOST = 1_000
"""Decisions that a profile looks at."""

TABLE = "customers"
PERSONAL = ("email", "phone")


class CustomerReads:
    """Bound to a tenant each time. `ledger` is None while there is none; `vault` opens what is shown to whoever may
    export."""

    def __init__(self, ledger: sa.Engine | None, shared: sa.Engine, vault: HomeVault) -> None:
        self._ledger, self._shared, self._vault = ledger, shared, vault

    def purchases(self, tenant_id: str, customer_id: str, most: int = MOST) -> list[Purchase]:
        """The newest first."""
        return [_purchase(row) for row in self._decided(tenant_id, customer_id, most)]

    def customer(self, tenant_id: str, customer_id: str, *, is_open: bool = False) -> Customer | None:
        """None for one that is unknown, or was erased; `is_open`: with e-mail and phone."""
        c = customers.c
        rows = self._all(self._shared, customers.select().where(c.tenant_id == tenant_id, c.id == customer_id))
        if not rows or rows[0].risk_tier == ERASED:
            return None
        row = rows[0]
        clear = {name: self._clear(row, name) for name in PERSONAL} if is_open else {}
        logged = msgspec.json.decode(row.metadata, type=Logged)
        return Customer(row.id, row.created_at, row.updated_at, row.risk_tier, row.fraud_score, logged, **clear)

    def _clear(self, row: sa.Row[Any], name: str) -> str | None:
        """None where it is unknown, or its key was destroyed."""
        cipher = getattr(row, name)
        try:
            return None if cipher is None else self._vault.open(row.tenant_id, name, row.id, cipher, TABLE)
        except Refused:
            return None

    def _decided(self, tenant_id: str, customer_id: str, most: int | None) -> Sequence[sa.Row[Any]]:
        newest = _ids(tenant_id, customer_id).order_by(transactions.c.created_at.desc()).limit(most).subquery()
        d, e, t = risk_decisions.c, events.c, transactions.c
        whole = (
            sa.select(
                *(d.id, d.tenant_id, d.entity_id, d.created_at, d.score, d.decision, d.outcome, d.answer),
                *(e.event_time, e.observed_at, e.fields, t.amount, t.currency),
            )
            .join_from(newest, risk_decisions, newest.c.id == d.id)
            .join(events, (e.tenant_id == d.tenant_id) & (e.module == d.module) & (e.event_id == d.entity_id))
            .join(transactions, (t.tenant_id == d.tenant_id) & (t.id == d.entity_id))
        )
        return self._all(self._ledger, whole.order_by(d.created_at.desc(), d.id))

    def _all(self, engine: sa.Engine | None, statement: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        if engine is None:
            return ()
        try:
            with engine.connect() as connection:
                return connection.execute(statement).all()
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"the database does not answer ({reason(error)})") from error


def _ids(tenant_id: str, customer_id: str) -> sa.Select[Any]:
    """Decisions about the purchases of a customer."""
    d, t = risk_decisions.c, transactions.c
    both = (d.tenant_id == t.tenant_id) & (d.entity_id == t.id) & (d.module == _MODULE.name)
    mine = (t.tenant_id == tenant_id, t.customer_id == customer_id)
    return sa.select(d.id).join_from(transactions, risk_decisions, both).where(*mine)


_MODULE = module_of("ecommerce")
_SEEN = {entity: field for entity, field in _MODULE.entities.items() if entity not in ("customer", "merchant")}


def _purchase(row: sa.Row[Any]) -> Purchase:
    fields = msgspec.json.decode(row.fields)
    return Purchase(
        decision_id=row.id,
        transaction_id=row.entity_id,
        decided_at=row.created_at,
        amount=row.amount,
        currency=row.currency,
        score=row.score,
        decision=row.decision,
        outcome=row.outcome,
        seen={entity: str(fields[field]) for entity, field in _SEEN.items() if fields.get(field) is not None},
    )


def personal_fields() -> Iterator[str]:
    """Of purchases, those that are sealed."""
    return (field.name for field in _MODULE.fields if field.type is FieldType.PERSONAL)
