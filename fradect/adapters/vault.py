"""Personal data under a key of this home: tokens to find equals by, ciphertext to keep.

A token is an HMAC-SHA256 of the tenant, the field and what all spellings of the value share. A ciphertext is
AES-256-GCM with tenant, field and row as associated data, so that it opens nowhere but in its place. Its nonce is
an HMAC of the same data and the text: one text in one place always seals to the same bytes, which keeps imports
repeatable, and a nonce never meets two texts but by a collision of 96 bits. Both begin with the key's version.

What belongs to a customer is sealed under that customer's own keys (fradect/adapters/data_keys.py), which the home's
key wraps; what belongs to the house (webhooks' secrets, uploaded batches), and what was imported without a database
beside it, under the home's key itself.
"""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fradect.adapters.data_keys import EVENTS, CustomerKey, Keyring, KeyStore, Wrapping, sized
from fradect.adapters.data_keys import VERSION as OF_CUSTOMERS
from fradect.adapters.mac import Mac
from fradect.errors import Refused
from fradect.events import personal_key
from fradect.settings import VAULT_KEY, vault_key

_VERSION = "v1"
_NONCE = 12
_KEY_BYTES = 32


class _KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    key: bytes


class HomeVault:
    """A Vault whose key lies in `<home>/keys/vault.json`, readable by its owner only, or is the environment's.

    The first vault of a home makes the key. It is part of the home's backup: without it no ciphertext opens. Without
    `store` only keys of customers are known that this vault has made.
    """

    def __init__(self, home: Path, store: KeyStore | None = None) -> None:
        key = _given() or _read_or_make(home / "keys" / "vault.json")
        self._token = Mac(_derive(key, "token"))
        self._nonce = Mac(_derive(key, "nonce"))
        self._cipher = AESGCM(_derive(key, "cipher"))
        self._keys = Keyring(Wrapping(_derive(key, "wrap"), self._nonce), store)
        self._has_store = store is not None
        self.key_id = _derive(key, "id")[:8].hex()
        self.part = Mac(_derive(key, "part")).of  # draws who is in which part of a trial

    def owner(self, tenant_id: str, customer: str) -> str:
        """What a customer's keys are filed under."""
        return self.named(tenant_id, "customer_id", customer)

    def key_of(self, tenant_id: str, customer: str) -> CustomerKey:
        key = self._keys.get(tenant_id, customer)
        return key or self._keys.new(tenant_id, customer, self.owner(tenant_id, customer))

    def keys_of(self, tenant_id: str, customers: Iterable[str]) -> dict[str, CustomerKey]:
        """None at all where there is no database to store them in."""
        if not self._has_store:
            return {}
        return self._keys.stored(tenant_id, {one: self.owner(tenant_id, one) for one in customers})

    def key_named(self, cipher: str) -> CustomerKey:
        """The key that a customer's ciphertext names; Refused where it is gone."""
        return self._keys.by_id(cipher.split(":", 2)[1])

    def forget(self, tenant_id: str, customer: str) -> None:
        """A key that was destroyed is not used from memory either."""
        self._keys.forget(tenant_id, customer)

    def token(self, tenant_id: str, field: str, text: str) -> str:
        return self.named(tenant_id, field, personal_key(field, text))

    def named(self, tenant_id: str, what: str, text: str) -> str:
        """A token of a text to the letter: ids that differ in a capital are two."""
        return f"{_VERSION}_{self._token.of(_place(tenant_id, what) + text.encode())[:16].hex()}"

    def seal(self, tenant_id: str, field: str, row: str, text: str) -> str:
        place, clear = _place(tenant_id, field) + sized(row), text.encode()
        nonce = self._nonce.of(place + clear)[:_NONCE]
        sealed = nonce + self._cipher.encrypt(nonce, clear, place)
        return f"{_VERSION}:{binascii.b2a_base64(sealed, newline=False).decode()}"

    def open(self, tenant_id: str, field: str, row: str, cipher: str, table: str = EVENTS) -> str:
        """Refused when the ciphertext was changed, moved, or sealed under another key, or its key was destroyed."""
        version, _, encoded = cipher.partition(":")
        try:
            if version == OF_CUSTOMERS:
                return self._of(tenant_id, self.key_named(cipher)).open(field, row, cipher, table)
            sealed = base64.b64decode(encoded, validate=True)
            if version != _VERSION:
                raise ValueError(version)
            place = _place(tenant_id, field) + sized(row)
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], place).decode()
        except (InvalidTag, ValueError) as error:
            raise Refused(
                f"{field} of {row} does not open: it was changed, moved, or sealed under another home's key"
            ) from error

    @staticmethod
    def _of(tenant_id: str, key: CustomerKey) -> CustomerKey:
        if key.tenant_id != tenant_id:
            raise ValueError(tenant_id)
        return key


def has_key(home: Path) -> bool:
    """Whether a vault here would find its key, or make one."""
    return vault_key() is not None or (home / "keys" / "vault.json").exists()


def _given() -> bytes | None:
    """The key from the environment, in place of the home's own file."""
    text = vault_key()
    if text is None:
        return None
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise Refused(f"{VAULT_KEY} holds no key of 256 bits: give 32 random bytes in base64")
    return key


@lru_cache(maxsize=256)
def _place(tenant_id: str, field: str) -> bytes:
    return sized(tenant_id) + sized(field)


def _derive(key: bytes, purpose: str) -> bytes:
    return hmac.digest(key, f"fradect/vault/{_VERSION}/{purpose}".encode(), hashlib.sha256)


def _read_or_make(path: Path) -> bytes:
    if not path.exists():
        _make(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise Refused(f"{path} can be read by others (mode {mode:o}): run chmod 600 on it, or restore your own key")
    try:
        key = msgspec.json.decode(path.read_bytes(), type=_KeyFile).key
    except msgspec.DecodeError as error:
        raise Refused(f"{path} is damaged: restore it from a backup; without it no ciphertext opens") from error
    if len(key) != _KEY_BYTES:
        raise Refused(f"{path} holds no key of 256 bits: restore it from a backup")
    return key


def _make(path: Path) -> None:
    """Write aside and link into place: of two processes that start at once, both end up with the first one's key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(_KeyFile(1, secrets.token_bytes(32))))
            file.flush()
            os.fsync(file.fileno())
        os.link(aside, path)
    except FileExistsError:
        pass  # another process was first: its key is the home's
    finally:
        aside.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
