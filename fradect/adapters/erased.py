"""Which customers of a tenant were erased, and whose their events of before are now."""

from collections.abc import Mapping

import msgspec
import sqlalchemy as sa

from fradect.adapters.database import reading
from fradect.adapters.tables import erasures
from fradect.modules import module_of
from fradect.modules.declaration import FieldType
from fradect.types import Event


class Erased:
    """Of one tenant's module: by customer, up to which number whose the events are."""

    def __init__(self, module: str, found: Mapping[str, list[tuple[int, str]]]) -> None:
        declared = module_of(module)
        self.found = found
        self.owner = declared.entities["customer"]
        personal = [field.name for field in declared.fields if field.type is FieldType.PERSONAL]
        self.blanked = [f"{name}_{form}" for name in personal for form in ("cipher", "token")]
        self.kept = set(declared.entities.values())  # a keyed hash that windows go by is the address's own

    @classmethod
    def of(cls, shared: sa.Engine, tenant_id: str, module: str) -> "Erased":
        c = erasures.c
        wanted = sa.select(c.customer_id, c.pseudonym, c.until).where(c.tenant_id == tenant_id)
        found: dict[str, list[tuple[int, str]]] = {}
        with reading(shared, "the database does not answer") as connection:
            for customer, pseudonym, until in connection.execute(wanted.order_by(c.requested_at, c.id)):
                last = msgspec.json.decode(until).get(module)
                if last is not None:
                    found.setdefault(customer, []).append((last, pseudonym))
        return cls(module, found)

    def whose(self, seq: int, customer: str) -> str:
        """Who an event of this number is of."""
        return next((pseudonym for last, pseudonym in self.found.get(customer, ()) if seq <= last), customer)

    def applied(self, seq: int, event: Event) -> Event:
        customer = event.fields.get(self.owner)
        if customer not in self.found:
            return event
        whose = self.whose(seq, str(customer))
        if whose == customer:
            return event
        blank = {name: None for name in self.blanked if name in event.fields and name not in self.kept}
        return msgspec.structs.replace(event, fields={**event.fields, **blank, self.owner: whose})
