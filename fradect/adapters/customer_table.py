# ruff: noqa: S608  statements are made of declared names and paths of our own
"""The table `customers`, brought up to date from log and ledger: what was bought, and what became of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from fradect.adapters.customer_reads import PERSONAL, TABLE
from fradect.adapters.database import reading, reason
from fradect.adapters.duck import connect, files
from fradect.adapters.erased import Erased
from fradect.adapters.places import Places, scratch
from fradect.adapters.tables import customers, risk_decisions, transactions
from fradect.adapters.vault import HomeVault
from fradect.customers import FRAUD_FADES, Known, Logged, Purchase, fraud_score, risk_tier
from fradect.errors import Refused, Unavailable

AT_ONCE = 500
_json = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True)
class Ground:
    """What a run stands on; `ledger` is None while there is none. `now`: microseconds."""

    places: Places
    ledger: sa.Engine | None
    shared: sa.Engine
    vault: HomeVault | None
    erased: Erased
    now: int


class _Row(msgspec.Struct):
    """A customer as the log has it; `ciphers`: by field the newest keyed hash, ciphertext and event."""

    id: str
    logged: Logged
    ciphers: Mapping[str, tuple[str, str, str]]


def bring_up(ground: Ground) -> tuple[int, int]:
    """How many customers there are, and how many rows were new or changed. Erased ones are left alone."""
    seen = changed = 0
    for page in _pages(ground):
        seen += len(page)
        changed += _keep(ground, page)
    return seen, changed


def _pages(ground: Ground) -> Iterator[list[_Row]]:
    """In order of ids."""
    with scratch(ground.places.home) as folder, connect(folder) as duck:
        asked = duck.execute(_question(ground))
        names = [column[0] for column in asked.description or ()]
        while rows := asked.fetchmany(AT_ONCE):
            yield [_row(dict(zip(names, row, strict=True))) for row in rows]


def _question(ground: Ground) -> str:
    owner, events = ground.erased.owner, files(ground.places.events())
    told = ground.places.outcomes()
    outcomes = files(told) if told else "(SELECT '' AS event_id, '' AS kind, false AS value, now() AS known_at LIMIT 0)"
    newest = "".join(
        f", max_by(struct_pack(t := {n}_token, c := {n}_cipher, e := event_id), seq) "
        f"FILTER ({n}_cipher IS NOT NULL) AS {n}"
        for n in PERSONAL
    )
    return (
        f"WITH o AS (SELECT event_id, bool_or(kind = 'fraud' AND value) AS fraud, bool_or(kind = 'return' AND value) "
        f"AS returned, max(known_at) FILTER (kind = 'fraud' AND value) AS known FROM {outcomes} GROUP BY event_id) "
        f"SELECT {owner} AS id, count(*) AS purchases, coalesce(sum(amount_base), 0)::BIGINT AS amount, "
        "epoch_us(min(event_time)) AS first_at, epoch_us(max(event_time)) AS last_at, "
        "count(*) FILTER (o.fraud) AS frauds, epoch_us(max(o.known)) AS last_fraud_at, "
        f"count(*) FILTER (o.returned) AS returns{newest} FROM {events} e LEFT JOIN o USING (event_id) "
        f"WHERE {owner} IS NOT NULL AND NOT starts_with({owner}, 'erased_') GROUP BY {owner} ORDER BY {owner}"
    )


def _row(found: dict[str, Any]) -> _Row:
    ciphers = {name: tuple(found.pop(name).values()) for name in PERSONAL if found[name] is not None}
    rest = {name: value for name, value in found.items() if name not in PERSONAL}
    return _Row(rest.pop("id"), Logged(**rest), ciphers)


def _keep(ground: Ground, page: Sequence[_Row]) -> int:
    ids = [row.id for row in page]
    decided = _decided(ground, ids)
    c = customers.c
    try:
        with ground.shared.begin() as connection:
            mine = customers.select().where(c.tenant_id == ground.places.tenant, c.id.in_(ids))
            held = {row.id: dict(row._mapping) for row in connection.execute(mine)}
            wanted = [_wanted(ground, row, decided.get(row.id, []), held.get(row.id, {})) for row in page]
            new = [row for row in wanted if row["id"] not in held]
            other = [row for row in wanted if row["id"] in held and _differs(row, held[row["id"]])]
            for row in other:
                connection.execute(customers.update().where(c.tenant_id == row["tenant_id"], c.id == row["id"]), row)
            if new:
                connection.execute(customers.insert(), new)
    except sa.exc.DBAPIError as error:
        raise Unavailable(f"the database does not answer ({reason(error)})") from error
    return len(new) + len(other)


def _differs(row: Mapping[str, Any], held: Mapping[str, Any]) -> bool:
    return any(row[name] != held[name] for name in row if name != "updated_at")


def _wanted(ground: Ground, row: _Row, purchases: Sequence[Purchase], held: Mapping[str, Any]) -> dict[str, Any]:
    known = Known(purchases, row.logged, ground.now)
    wanted: dict[str, Any] = {
        "tenant_id": ground.places.tenant,
        "id": row.id,
        "created_at": row.logged.first_at,
        "updated_at": ground.now,
        "risk_tier": risk_tier(known),
        "fraud_score": fraud_score(known),
        "metadata": _json.encode(row.logged).decode(),
    }
    for name in PERSONAL:
        token, cipher, event_id = row.ciphers.get(name, (None, None, None))
        same = token is None or held.get(f"{name}_token") == token
        kept = held.get(name) if same else _sealed_anew(ground, row.id, name, (cipher or "", event_id or ""))
        wanted |= {name: kept, f"{name}_token": None if kept is None else token or held.get(f"{name}_token")}
    return wanted


def _sealed_anew(ground: Ground, customer_id: str, name: str, sealed: tuple[str, str]) -> str | None:
    """Bound to its place in the table; None where it does not open."""
    cipher, event_id = sealed
    if ground.vault is None:
        return None
    tenant = ground.places.tenant
    try:
        clear = ground.vault.open(tenant, name, event_id, cipher)
        if cipher.startswith("v2:"):
            key = ground.vault.key_named(cipher)
        else:
            key = ground.vault.keys_of(tenant, [customer_id])[customer_id]
    except Refused:
        return None
    return key.seal(name, customer_id, clear, TABLE)


def _decided(ground: Ground, ids: Sequence[str]) -> dict[str, list[Purchase]]:
    """Decisions of a year about the purchases of these customers, the newest first."""
    found: dict[str, list[Purchase]] = {}
    if ground.ledger is None:
        return found
    d, t = risk_decisions.c, transactions.c
    both = (d.tenant_id == t.tenant_id) & (d.entity_id == t.id) & (d.module == ground.places.module)
    mine = (t.tenant_id == ground.places.tenant, t.customer_id.in_(ids), d.created_at > ground.now - FRAUD_FADES)
    wanted = sa.select(
        *(t.customer_id, d.id, d.entity_id, d.created_at, t.amount, t.currency, d.score, d.decision, d.outcome)
    ).join_from(transactions, risk_decisions, both)
    with reading(ground.ledger, "the ledger does not answer") as connection:
        for row in connection.execute(wanted.where(*mine).order_by(d.created_at.desc())):
            named = dict(zip(Purchase.__struct_fields__, (*row[1:], {}), strict=True))
            found.setdefault(row.customer_id, []).append(Purchase(**named))
    return found
