"""Data keys: one customer's personal data is sealed under keys of that customer alone, which can be destroyed.

A key is 256 random bits, kept wrapped (AES-256-GCM under the home's key, bound to tenant, owner and its own id). It is
made in memory when a customer is first met and written in the transaction of the first row that is sealed under it, so
no request reads a key before it seals, and no ciphertext is ever stored without its key. Whoever else meets the same
customer meanwhile makes another one: a customer may have several, every ciphertext names its own, and all of them are
destroyed together.
"""

import base64
import binascii
import os
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fradect.adapters.mac import Mac
from fradect.errors import Refused

VERSION = "v2"
EVENTS = "events"
_NONCE = 12
_ID = 12
_KEY = 32
_KEPT = 20_000


class KeyRow(Protocol):
    """A row of data_keys or imported_data_keys."""

    id: str
    tenant_id: str
    owner: str
    wrapped: bytes | None
    created_at: int


class KeyStore(Protocol):
    """Where keys lie wrapped. Unavailable when it does not answer."""

    def find(self, key_id: str) -> KeyRow | None: ...

    def of_owners(self, tenant_id: str, owners: Sequence[str]) -> Sequence[KeyRow]:
        """Those that were not destroyed."""
        ...

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Durable when it returns."""
        ...


class Wrapping:
    """The home's side: what wraps keys, and what nonces are made with."""

    def __init__(self, wrapping_key: bytes, nonce: Mac) -> None:
        self._cipher = AESGCM(wrapping_key)
        self.nonce = nonce

    def new(self, tenant_id: str, owner: str) -> "CustomerKey":
        drawn = os.urandom(_ID + _KEY + _NONCE)
        key_id = base64.urlsafe_b64encode(drawn[:_ID]).decode()
        key, nonce = drawn[_ID : _ID + _KEY], drawn[_ID + _KEY :]
        wrapped = nonce + self._cipher.encrypt(nonce, key, _about(tenant_id, owner, key_id))
        return CustomerKey(self, key, (key_id, tenant_id, owner, wrapped, time.time_ns() // 1000))

    def opened(self, row: KeyRow) -> "CustomerKey":
        """Refused for a key that was destroyed, changed, or wrapped under another home's."""
        if row.wrapped is None:
            raise Refused(f"the data key {row.id} was destroyed: its customer was erased")
        try:
            wrapped = bytes(row.wrapped)
            about = _about(row.tenant_id, row.owner, row.id)
            key = self._cipher.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], about)
        except (InvalidTag, ValueError) as error:
            raise Refused(f"the data key {row.id} does not open: it was changed, or is another home's") from error
        made = CustomerKey(self, key, (row.id, row.tenant_id, row.owner, wrapped, row.created_at))
        made.is_stored = True
        return made


class CustomerKey:
    """Implements the port DataKey."""

    __slots__ = ("_cipher", "_of", "_prefix", "_raw_id", "_row", "id", "is_stored", "owner", "tenant_id")

    def __init__(self, of: Wrapping, key: bytes, row: tuple[str, str, str, bytes, int]) -> None:
        self._of = of
        self._cipher = AESGCM(key)
        self._row = row
        self.id, self.tenant_id, self.owner = row[:3]
        self._raw_id = self.id.encode()
        self._prefix = f"{VERSION}:{self.id}:"
        self.is_stored = False

    def row(self) -> dict[str, Any]:
        """As its table holds it."""
        key_id, tenant_id, owner, wrapped, created_at = self._row
        return {
            "id": key_id,
            "tenant_id": tenant_id,
            "owner": owner,
            "wrapped": wrapped,
            "created_at": created_at,
            "destroyed_at": None,
        }

    def seal(self, field: str, row: str, text: str, table: str = EVENTS) -> str:
        """One text in one place under one key always seals to the same bytes."""
        place, clear = place_of(self.tenant_id, table, field) + sized(row), text.encode()
        nonce = self._of.nonce.of(self._raw_id + place + clear)[:_NONCE]
        sealed = nonce + self._cipher.encrypt(nonce, clear, place)
        return self._prefix + binascii.b2a_base64(sealed, newline=False).decode()

    def open(self, field: str, row: str, cipher: str, table: str = EVENTS) -> str:
        """ValueError or InvalidTag for what is not sealed so."""
        sealed = base64.b64decode(cipher.removeprefix(self._prefix), validate=True)
        place = place_of(self.tenant_id, table, field) + sized(row)
        return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], place).decode()


class Keyring:
    """Keys by customer, as many as fit into memory; those of earlier days are read where something is opened."""

    def __init__(self, wrapping: Wrapping, store: KeyStore | None = None) -> None:
        self._wrapping, self._store = wrapping, store
        self._of: dict[tuple[str, str], CustomerKey] = {}
        self._by_id: dict[str, CustomerKey] = {}

    def get(self, tenant_id: str, customer: str) -> CustomerKey | None:
        return self._of.get((tenant_id, customer))

    def new(self, tenant_id: str, customer: str, owner: str) -> CustomerKey:
        """A key that is not stored yet."""
        return self._hold(customer, self._wrapping.new(tenant_id, owner))

    def stored(self, tenant_id: str, owners: Mapping[str, str]) -> dict[str, CustomerKey]:
        """Of each customer (by customer, the owner) a key that is stored when it returns."""
        found = {c: key for c in owners if (key := self._of.get((tenant_id, c))) is not None and key.is_stored}
        rest = {owner: customer for customer, owner in owners.items() if customer not in found}
        if self._store is not None and rest:
            for row in self._store.of_owners(tenant_id, list(rest)):
                customer = rest.pop(row.owner, None)
                if customer is not None:
                    found[customer] = self._hold(customer, self._wrapping.opened(row))
        made = {customer: self._wrapping.new(tenant_id, owner) for owner, customer in rest.items()}
        if self._store is not None and made:
            self._store.add([key.row() for key in made.values()])
        for customer, key in made.items():
            key.is_stored = self._store is not None
            found[customer] = self._hold(customer, key)
        return found

    def by_id(self, key_id: str) -> CustomerKey:
        """Refused where there is none, or it was destroyed."""
        key = self._by_id.get(key_id)
        if key is None:
            row = None if self._store is None else self._store.find(key_id)
            if row is None:
                raise Refused(f"the data key {key_id} is not in this database")
            key = self._by_id[key_id] = self._wrapping.opened(row)
            _trim(self._by_id)
        return key

    def forget(self, tenant_id: str, customer: str) -> None:
        """Whoever comes next under that id gets a new key; nothing that was sealed before opens from memory."""
        key = self._of.pop((tenant_id, customer), None)
        owner = None if key is None else key.owner
        for key_id, held in list(self._by_id.items()):
            if held.tenant_id == tenant_id and (owner is None or held.owner == owner):
                self._by_id.pop(key_id, None)

    def _hold(self, customer: str, key: CustomerKey) -> CustomerKey:
        self._of[key.tenant_id, customer] = key
        _trim(self._of)
        self._by_id[key.id] = key
        _trim(self._by_id)
        return key


def _trim(held: dict[Any, CustomerKey]) -> None:
    """The oldest go first. One in use is held by whoever uses it."""
    while len(held) > _KEPT:
        held.pop(next(iter(held)), None)


@lru_cache(maxsize=256)
def sized(text: str) -> bytes:
    """Of names and ids; personal texts are kept nowhere, so not here either."""
    raw = text.encode()
    return len(raw).to_bytes(4, "big") + raw


@lru_cache(maxsize=256)
def place_of(tenant_id: str, table: str, field: str) -> bytes:
    return sized(tenant_id) + sized(table) + sized(field)


def _about(tenant_id: str, owner: str, key_id: str) -> bytes:
    return sized(tenant_id) + sized(owner) + key_id.encode()
