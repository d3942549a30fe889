"""Erasing a customer: first the request is on record, then step by step what is held is destroyed.

Each step may be done again, so an erasure that was cut off goes on where it was, by whoever looks next. No row that the
ledger's chain covers is touched: its ciphertext stays, and no key opens it any more.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec
import sqlalchemy as sa

from fradect.adapters.database import reading, reason
from fradect.adapters.sql_keys import SqlKeys
from fradect.adapters.tables import customers, erasures, risk_decisions, transactions
from fradect.adapters.vault import HomeVault
from fradect.crash import crash_point
from fradect.customers import ERASED, KEPT, Erasing, Receipt
from fradect.deliveries import written
from fradect.errors import NotFound, Unavailable
from fradect.types import HOUR, SECOND

_json = msgspec.json.Encoder(order="deterministic")
_LATE = HOUR
"""For so long what was under way as a customer was erased is looked for and destroyed too."""
_AT_WORK = 5 * SECOND
"""For so long whoever was asked to erase is left to it."""


class Held(Protocol):
    """What is kept of customers to decide by: online features and the live state."""

    def numbers(self, tenant_id: str) -> Mapping[str, int]:
        """By module the highest number that was given."""
        ...

    def forget(self, tenant_id: str, customer_id: str) -> Mapping[str, int]:
        """By what was removed, how many."""
        ...


class Stores(NamedTuple):
    """Where a customer is held."""

    ledger: sa.Engine
    shared: sa.Engine
    keys: SqlKeys
    vault: HomeVault
    held: Held


class Erasures:
    """Of one service's databases. Every step is bound to the tenant."""

    def __init__(self, stores: Stores) -> None:
        self._at = stores

    def erase(self, asked: Erasing) -> bytes:
        """The receipt; the same again for who is erased already. NotFound for who is unknown to the tenant."""
        last = self._asked(asked)
        return bytes(last.receipt) if last.completed_at is not None else self._go_on(last, asked.now)

    def request(self, asked: Erasing) -> str:
        """Put it on record, for whoever holds the databases to do; its id, by which `receipt` is asked for."""
        return str(self._asked(asked).id)

    def receipt(self, erasure_id: str) -> bytes | None:
        """None until it is done."""
        row = self._read(self._at.shared, erasures.select().where(erasures.c.id == erasure_id))[0]
        return None if row.completed_at is None else bytes(row.receipt)

    def _asked(self, asked: Erasing) -> sa.Row[Any]:
        last = self._last(asked)
        if last is None or (last.completed_at is not None and self._is_known(asked)):
            if last is None and not self._is_known(asked):
                raise NotFound("no such customer")
            last = self._begin(asked)
        return last

    def settle(self, now: int) -> int:
        """Finish what was cut off, and destroy what came in while it was erased; how many were looked at."""
        c = erasures.c
        cut_off = sa.and_(c.completed_at.is_(None), c.requested_at <= now - _AT_WORK)
        due = sa.or_(cut_off, sa.and_(c.completed_at.is_not(None), c.requested_at > now - _LATE))
        rows = self._read(self._at.shared, erasures.select().where(due))
        for row in rows:
            if row.completed_at is None:
                self._go_on(row, now)
            else:
                self._destroy_keys(row, now)
                self._blank(row)
                self._refile(row)
        return len(rows)

    def follow(self, since: int) -> None:
        """What others erased is not used from this process's memory."""
        c = erasures.c
        wanted = sa.select(c.tenant_id, c.customer_id).where(c.requested_at > since)
        for tenant_id, customer_id in self._read(self._at.shared, wanted):
            self._at.vault.forget(tenant_id, customer_id)

    def _begin(self, asked: Erasing) -> sa.Row[Any]:
        self._at.vault.forget(asked.tenant_id, asked.customer_id)
        erasure_id = f"era_{asked.now:013x}{secrets.token_hex(5)}"
        row = {
            "id": erasure_id,
            "tenant_id": asked.tenant_id,
            "customer_id": asked.customer_id,
            "pseudonym": self._pseudonym(asked, erasure_id),
            "requested_at": asked.now,
            "requested_by": asked.by,
            "until": _json.encode(self._at.held.numbers(asked.tenant_id)).decode(),
            "done": "{}",
        }
        self._write(self._at.shared, erasures.insert().values(**row))
        crash_point("erasure-begun")
        return self._read(self._at.shared, erasures.select().where(erasures.c.id == erasure_id))[0]

    def _go_on(self, row: sa.Row[Any], now: int) -> bytes:
        """In this order: once the keys are gone nothing is readable, whatever happens to the rest."""
        done: dict[str, int] = msgspec.json.decode(row.done)
        steps: dict[str, Callable[[], Mapping[str, int]]] = {
            "data_keys": lambda: {"data_keys": self._destroy_keys(row, now)},
            "customer_rows": lambda: {"customer_rows": self._blank(row)},
            "transactions_refiled": lambda: {"transactions_refiled": self._refile(row)},
            "live_state_keys": lambda: self._at.held.forget(row.tenant_id, row.customer_id),
        }
        for name, step in steps.items():
            if name not in done:
                done |= step()
                self._write(self._at.shared, _one(row).values(done=_json.encode(done).decode()))
                crash_point("erasure-step")
        receipt = _receipt(row, done, now)
        first = _one(row).where(erasures.c.completed_at.is_(None)).values(completed_at=now, receipt=receipt)
        if self._write(self._at.shared, first):
            return receipt
        return bytes(self._read(self._at.shared, erasures.select().where(erasures.c.id == row.id))[0].receipt)

    def _destroy_keys(self, row: sa.Row[Any], now: int) -> int:
        self._at.vault.forget(row.tenant_id, row.customer_id)
        owner = self._at.vault.owner(row.tenant_id, row.customer_id)
        return self._at.keys.destroy(row.tenant_id, owner, row.requested_at, now)

    def _blank(self, row: sa.Row[Any]) -> int:
        c = customers.c
        mine = (c.tenant_id == row.tenant_id, c.id == row.customer_id, c.updated_at <= row.requested_at)
        nothing = dict.fromkeys(("email", "email_token", "phone", "phone_token"))
        gone = customers.update().where(*mine).values(**nothing, risk_tier=ERASED, fraud_score=0, metadata="{}")
        return self._write(self._at.shared, gone)

    def _refile(self, row: sa.Row[Any]) -> int:
        """The table of purchases, which no chain covers, under the pseudonym."""
        c, d = transactions.c, risk_decisions.c
        earlier = sa.exists().where(d.tenant_id == c.tenant_id, d.entity_id == c.id, d.created_at <= row.requested_at)
        mine = (c.tenant_id == row.tenant_id, c.customer_id == row.customer_id, earlier)
        return self._write(self._at.ledger, transactions.update().where(*mine).values(customer_id=row.pseudonym))

    def _last(self, asked: Erasing) -> sa.Row[Any] | None:
        c = erasures.c
        mine = erasures.select().where(c.tenant_id == asked.tenant_id, c.customer_id == asked.customer_id)
        rows = self._read(self._at.shared, mine.order_by(c.requested_at.desc(), c.id.desc()).limit(1))
        return rows[0] if rows else None

    def _is_known(self, asked: Erasing) -> bool:
        """Whether there is anything to erase."""
        t, c = transactions.c, customers.c
        bought = sa.select(t.id).where(t.tenant_id == asked.tenant_id, t.customer_id == asked.customer_id)
        row = sa.select(c.id).where(c.tenant_id == asked.tenant_id, c.id == asked.customer_id, c.risk_tier != ERASED)
        owner = self._at.vault.owner(asked.tenant_id, asked.customer_id)
        return bool(
            self._read(self._at.ledger, bought.limit(1))
            or self._read(self._at.shared, row)
            or self._at.keys.of_owners(asked.tenant_id, [owner])
        )

    def _pseudonym(self, asked: Erasing, erasure_id: str) -> str:
        """Nobody gets from it to the customer, or from one erasure's to another's, without the home's key."""
        keyed = self._at.vault.token(asked.tenant_id, f"erasure/{erasure_id}", asked.customer_id)
        return f"erased_{hmac.digest(keyed.encode(), secrets.token_bytes(16), hashlib.sha256)[:12].hex()}"

    def _read(self, engine: sa.Engine, statement: sa.Select[Any]) -> list[sa.Row[Any]]:
        with reading(engine, "the database does not answer") as connection:
            return list(connection.execute(statement))

    def _write(self, engine: sa.Engine, statement: sa.sql.dml.UpdateBase) -> int:
        try:
            with engine.begin() as connection:
                return connection.execute(statement).rowcount
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"the database does not answer ({reason(error)}): ask again") from error


def _one(row: sa.Row[Any]) -> sa.Update:
    return erasures.update().where(erasures.c.id == row.id)


def _receipt(row: sa.Row[Any], done: Mapping[str, int], now: int) -> bytes:
    told = Receipt(row.id, row.customer_id, written(row.requested_at), written(now), done, KEPT)
    rest = {name: value for name, value in msgspec.to_builtins(told).items() if name != "hash"}
    digest = hashlib.sha256(_json.encode(rest)).hexdigest()
    return _json.encode(msgspec.structs.replace(told, hash=digest))
