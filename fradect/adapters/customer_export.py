"""Everything that is held of a customer, a page at a time: however much there is, memory holds a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from fradect.adapters.customer_log import CustomerLog, Undecided
from fradect.adapters.customer_reads import CustomerReads
from fradect.adapters.database import reason
from fradect.adapters.tables import decision_outcomes, events, risk_decisions, transactions
from fradect.adapters.vault import HomeVault
from fradect.customers import Export, Reached
from fradect.deliveries import written
from fradect.errors import NotFound, Refused, Unavailable
from fradect.modules import module_of
from fradect.modules.declaration import FieldType
from fradect.outcomes import Place

_MODULE = module_of("ecommerce")
_TIMES = {name for name, kind in _MODULE.columns.items() if kind is FieldType.TIME}
_CIPHER, _TOKEN = "_cipher", "_token"


class CustomerExports:
    """Over one home; bound to a tenant each time. `ledger` is None while there is none."""

    def __init__(self, home: Path, ledger: sa.Engine | None, shared: sa.Engine, vault: HomeVault) -> None:
        self._ledger, self._vault = ledger, vault
        self._reads = CustomerReads(ledger, shared, vault)
        self._log = CustomerLog(home, ledger, shared)

    def page(
        self, tenant_id: str, customer_id: str, most: int, after: Reached | None = None
    ) -> tuple[Export, Reached | None]:
        """At most so many purchases and events together, and how far that is; None after the last. NotFound for who
        is unknown or erased, also where that happened between two pages."""
        customer = self._reads.customer(tenant_id, customer_id, is_open=True)
        bought, others, reached = self._bought(tenant_id, customer_id, most, after), list[Undecided](), None
        if len(bought) > most:
            reached = Reached(Place(bought[most - 1].at, bought[most - 1].entity_id))
        else:
            whose, room = (tenant_id, _MODULE.name, customer_id), most - len(bought)
            passed = 0 if after is None else after.number
            others, has_more = self._log.page(whose, passed, room)
            reached = Reached(None, others[-1].seq if others else passed) if has_more else None
        if customer is None and not bought and not others:
            raise NotFound("no such customer")
        sources = ("ledger", "streams", "log") if self._log.is_here(tenant_id, _MODULE.name) else ("ledger", "streams")
        told = self._told(tenant_id, [row.id for row in bought[:most]])
        purchases = tuple(self._purchase(row, told.get(row.id, ())) for row in bought[:most])
        return Export(customer, purchases, tuple(map(self._event, others)), sources), reached

    def _bought(self, tenant_id: str, customer_id: str, most: int, after: Reached | None) -> Sequence[sa.Row[Any]]:
        """One more than wanted, if there is one; none once a page has gone beyond."""
        if self._ledger is None or (after is not None and after.purchase is None):
            return ()
        t, d, e = transactions.c, risk_decisions.c, events.c
        newest = sa.select(t.id, t.created_at).where(t.tenant_id == tenant_id, t.customer_id == customer_id)
        if after is not None and after.purchase is not None:
            place = sa.tuple_(sa.literal(after.purchase.created_at, sa.BigInteger), sa.literal(after.purchase.id))
            newest = newest.where(sa.tuple_(t.created_at, t.id) < place)
        some = newest.order_by(t.created_at.desc(), t.id.desc()).limit(most + 1).subquery()
        mine = (d.tenant_id == tenant_id) & (d.module == _MODULE.name) & (d.entity_id == some.c.id)
        seen = (e.tenant_id == d.tenant_id) & (e.module == d.module) & (e.event_id == d.entity_id)
        columns = (d.id, d.tenant_id, d.entity_id, d.created_at, d.outcome, d.answer, e.observed_at, e.fields)
        whole = sa.select(some.c.created_at.label("at"), *columns, e.event_time).join_from(some, risk_decisions, mine)
        return self._all(whole.join(events, seen).order_by(some.c.created_at.desc(), some.c.id.desc()))

    def _told(self, tenant_id: str, decisions: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        told = decision_outcomes.c
        columns = (told.decision_id, told.outcome, told.known_at, told.told_at, told.origin, told.note)
        wanted = sa.select(*columns).where(told.tenant_id == tenant_id, told.decision_id.in_(decisions))
        found: dict[str, list[dict[str, Any]]] = {}
        for row in self._all(wanted.order_by(told.told_at)) if decisions else ():
            said = dict(row._mapping) | {"known_at": written(row.known_at), "told_at": written(row.told_at)}
            found.setdefault(said.pop("decision_id"), []).append(said)
        return found

    def _purchase(self, row: sa.Row[Any], told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {
            "transaction_id": row.entity_id,
            "event_time": written(row.event_time),
            "observed_at": written(row.observed_at),
            "fields": self._fields(row.tenant_id, row.entity_id, msgspec.json.decode(row.fields)),
            "decision_id": row.id,
            "decided_at": written(row.created_at),
            "answer": msgspec.Raw(bytes(row.answer)),
            "outcome": row.outcome,
            "outcomes": told,
        }

    def _event(self, one: Undecided) -> dict[str, Any]:
        event = one.event
        return {
            "transaction_id": event.event_id,
            "event_time": written(event.event_time),
            "observed_at": written(event.observed_at),
            "source": one.source,
            "fields": self._fields(event.tenant_id, event.event_id, event.fields),
            "outcomes": [{**told._asdict(), "known_at": written(told.known_at)} for told in one.told],
        }

    def _fields(self, tenant_id: str, event_id: str, held: Mapping[str, Any]) -> dict[str, Any]:
        """What is known, personal fields opened: null where their key was destroyed."""
        fields = {name: value for name, value in held.items() if value is not None}
        for name in _TIMES & fields.keys():
            fields[name] = written(fields[name])
        for name in [name for name in fields if name.endswith(_CIPHER)]:
            field = name.removesuffix(_CIPHER)
            fields.pop(f"{field}{_TOKEN}", None)
            fields[field] = self._opened(tenant_id, field, event_id, fields.pop(name))
        return fields

    def _opened(self, tenant_id: str, field: str, event_id: str, cipher: str) -> str | None:
        try:
            return self._vault.open(tenant_id, field, event_id, cipher)
        except Refused:
            return None

    def _all(self, statement: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        if self._ledger is None:
            return ()
        try:
            with self._ledger.connect() as connection:
                return connection.execute(statement).all()
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"the ledger does not answer ({reason(error)})") from error
