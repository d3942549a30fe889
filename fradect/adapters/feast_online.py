"""Feast's online data, read without Feast: its import takes seconds, its API several times the read itself.

Beside the values lies what a materialisation left there (`Filled`): a store that was emptied, or is another one than
yesterday's, says so itself, at every read.
"""

import json
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from fradect.adapters.feast_format import (
    CUSTOMERS,
    KEY,
    STAMP,
    customer_of,
    entity_key,
    field_name,
    local_moment,
    proto_moment,
)
from fradect.adapters.online_address import FolderAddress, RedisAddress, address_of
from fradect.adapters.places import Places
from fradect.errors import Unavailable

Cell = tuple[bytes, int]  # a value's bytes and its event time in microseconds
Held = tuple[bytes | None, Mapping[str, Cell]]  # Filled's bytes, and the customer's cells by feature


@dataclass(frozen=True, slots=True)
class Filled:
    """What a materialisation left in the store: which features, up to when (microseconds), a digest of the rows, and
    the name of the home's key that customers' pseudonyms are made with."""

    features: tuple[str, ...]
    until: int
    mark: str
    key_id: str = ""

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Filled":
        told = json.loads(raw)
        return cls(tuple(told["features"]), int(told["until"]), str(told["mark"]), str(told.get("key_id", "")))


class Online(Protocol):
    """One project's customer snapshots in Feast's online store. Unavailable when it does not answer."""

    def read(self, customer: str) -> Held:
        """Both parts as of the same moment; nothing at all while nothing was ever put there."""
        ...

    def prepare(self) -> None:
        """After Feast has laid out its store, before anything is put there."""
        ...

    def filled(self) -> Filled | None: ...

    def leave(self, filled: Filled) -> None:
        """Say what the store holds from now on."""
        ...

    def customers(self) -> Iterator[str]:
        """Everyone in the store."""
        ...

    def forget(self, customers: Sequence[str]) -> None: ...

    def close(self) -> None: ...


def open_online(url: str, places: Places, names: Sequence[str], patience: float = 0.25) -> Online:
    """The store that the URL chooses, for features of these names; nothing is connected before the first use.

    `patience`: seconds to wait for an answer.
    """
    address = address_of(url)
    if isinstance(address, RedisAddress):
        return RedisOnline(address, places.feast.name, names, patience)
    return SqliteOnline(online_file(address, places), places.feast.name, patience)


def online_file(address: FolderAddress, places: Places) -> Path:
    """Each tenant's module has a file of its own."""
    return address.folder / "feast" / places.feast.name / "online.db"


class SqliteOnline:
    """A file that Feast writes. Read through one connection that cannot write; safe for threads, which take turns."""

    def __init__(self, path: Path, project: str, patience: float) -> None:
        self._path = path
        self._table = f'"{project}_{CUSTOMERS}"'
        self._patience = patience
        self._turn = threading.Lock()
        self._reading: sqlite3.Connection | None = None
        self._select = (
            f"SELECT feature_name, value, event_ts FROM {self._table} WHERE entity_key = ? "  # noqa: S608
            "UNION ALL SELECT NULL, filled, 0 FROM fradect_online"
        )

    def read(self, customer: str) -> Held:
        rows = self._rows(self._select, (entity_key(customer),))
        filled: bytes | None = None
        cells: dict[str, Cell] = {}
        for name, value, stamp in rows:
            if name is None:
                filled = value
            else:
                cells[name] = value, local_moment(stamp)
        return filled, cells

    def filled(self) -> Filled | None:
        rows = self._rows("SELECT filled FROM fradect_online", ())
        return Filled.from_bytes(rows[0][0]) if rows else None

    def leave(self, filled: Filled) -> None:
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO fradect_online VALUES (1, ?)", (filled.to_bytes(),))

    def prepare(self) -> None:
        """What Feast does not do for its own file: readers do not wait for a materialisation, and know of it."""
        with self._writing() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS fradect_online (id INTEGER PRIMARY KEY, filled BLOB)")

    def customers(self) -> Iterator[str]:
        for (key,) in self._rows(f"SELECT DISTINCT entity_key FROM {self._table}", ()):  # noqa: S608
            customer = customer_of(key, b"")
            if customer is not None:
                yield customer

    def forget(self, customers: Sequence[str]) -> None:
        with self._writing() as connection:
            delete = f"DELETE FROM {self._table} WHERE entity_key = ?"  # noqa: S608
            connection.executemany(delete, ((entity_key(customer),) for customer in customers))

    def close(self) -> None:
        with self._turn:
            self._drop()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=self._patience)) as connection, connection:
            yield connection

    def _rows(self, statement: str, values: tuple[bytes, ...]) -> list[Any]:
        with self._turn:
            try:
                connection = self._reading or self._open()
                return [] if connection is None else connection.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                self._drop()
                raise Unavailable(f"the feature store {self._path} cannot be read: {error}") from error

    def _open(self) -> sqlite3.Connection | None:
        """None while there is nothing to read."""
        if not self._path.is_file():
            return None
        source = f"{self._path.absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(source, uri=True, timeout=self._patience, check_same_thread=False)
        weakref.finalize(self, connection.close)
        names = {f'"{name}"' for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not names >= {self._table, '"fradect_online"'}:
            connection.close()
            return None
        self._reading = connection
        return connection

    def _drop(self) -> None:
        if self._reading is not None:
            self._reading.close()
        self._reading = None


class RedisOnline:
    """Hashes that Feast writes: one round trip for a customer and what the store holds. Safe for threads."""

    def __init__(self, address: RedisAddress, project: str, names: Sequence[str], patience: float) -> None:
        self._address = address
        self._project = project.encode()
        self._facts = f"fradect:online:{project}"
        self._names = tuple(names)
        self._fields = [*(field_name(name) for name in names), STAMP]
        again = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))  # the server was restarted
        self._client = redis.Redis(
            **address.options, socket_timeout=patience, socket_connect_timeout=patience, retry=again
        )

    def commands(self, customer: str) -> tuple[tuple[str | bytes, ...], ...]:
        """What `read` asks, and `understood` understands the answers to."""
        return (("HMGET", entity_key(customer) + self._project, *self._fields), ("GET", self._facts))

    def read(self, customer: str) -> Held:
        try:
            with self._client.pipeline(transaction=False) as pipe:
                for command in self.commands(customer):
                    pipe.execute_command(*command)  # type: ignore[no-untyped-call]
                return self.understood(pipe.execute())
        except redis.RedisError as error:
            raise self._away(error) from error

    def understood(self, answers: Sequence[Any]) -> Held:
        for answer in answers:
            if isinstance(answer, redis.RedisError):
                raise self._away(answer)
        (*values, stamp), filled = answers
        if stamp is None:
            return filled, {}
        at = proto_moment(stamp)
        return filled, {name: (value, at) for name, value in zip(self._names, values, strict=True) if value is not None}

    def filled(self) -> Filled | None:
        try:
            raw = self._client.get(self._facts)
        except redis.RedisError as error:
            raise self._away(error) from error
        return Filled.from_bytes(raw) if isinstance(raw, bytes) else None

    def leave(self, filled: Filled) -> None:
        try:
            self._client.set(self._facts, filled.to_bytes())
        except redis.RedisError as error:
            raise self._away(error) from error

    def prepare(self) -> None:
        """Redis needs nothing laid out."""

    def customers(self) -> Iterator[str]:
        for key in self._client.scan_iter(KEY + b"*" + self._project, count=1000):
            customer = customer_of(key, self._project)
            if customer is not None:
                yield customer

    def forget(self, customers: Sequence[str]) -> None:
        with self._client.pipeline(transaction=False) as pipe:
            for customer in customers:
                pipe.unlink(entity_key(customer) + self._project)
            pipe.execute()

    def close(self) -> None:
        self._client.close()

    def _away(self, error: redis.RedisError) -> Unavailable:
        return Unavailable(f"the feature store {self._address} does not answer: {error}")
