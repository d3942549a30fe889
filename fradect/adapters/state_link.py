"""The way to Redis: one round trip a step, short timeouts, errors that are Unavailable and never tell a password."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

from fradect.adapters.online_address import RedisAddress
from fradect.adapters.state_parts import KEPT, PARTS, check_names, other_fields, raw, rebuilding
from fradect.adapters.state_wire import Bytes, Wire
from fradect.errors import Unavailable
from fradect.features.contract import MAX_LATE
from fradect.features.layout import EntityLayout, Layout
from fradect.ports import Errand
from fradect.types import DAY, Event

LETTERS = dict(zip(PARTS, b"rftoa", strict=True))
"""How a part is named in a key."""


def parts_of(entity: EntityLayout) -> tuple[str, ...]:
    """The parts that an entity of the layout uses; only they have keys."""
    tiled = any(tile for (_, _, tile), _ in entity.sources)
    uses = {
        "rows": bool(entity.exact),
        "fresh": bool(entity.tiles),
        "tiles": bool(entity.tiles),
        "outcomes": bool(entity.sources),
        "matured": tiled,
    }
    return tuple(name for name in PARTS if uses[name])


@dataclass(frozen=True)
class RedisScope:
    """A scope as this process has adopted it: the names of its keys, all in one slot of a cluster."""

    tenant_id: str
    module: str
    layout: Layout
    generation: bytes

    @cached_property
    def hash(self) -> bytes:
        return hash_of(self.tenant_id, self.module)

    @cached_property
    def prefix(self) -> bytes:
        return self.hash + b":" + self.generation + b":"

    @cached_property
    def waiting(self) -> bytes:
        return self.prefix + b"w"

    @cached_property
    def digest(self) -> bytes:
        return self.layout.digest.encode()

    @cached_property
    def entities(self) -> dict[str, EntityLayout]:
        return {entity.entity: entity for entity in self.layout.entities}

    @cached_property
    def heads(self) -> dict[str, tuple[tuple[str, bytes], ...]]:
        """By entity its parts, and what the names of their keys begin with."""
        return {
            entity.entity: tuple(
                (part, b"%b%c:%b:" % (self.prefix, LETTERS[part], entity.entity.encode())) for part in parts_of(entity)
            )
            for entity in self.layout.entities
        }

    @cached_property
    def shapes(self) -> dict[tuple[str, ...], Any]:
        """How calls about events that name these entities are put, as they were first put (state_redis_calls.py)."""
        return {}

    @cached_property
    def guard(self) -> tuple[bytes, bytes]:
        return self.generation, self.digest

    @cached_property
    def lasts(self) -> int:
        """Milliseconds after which nothing that is written now can be reached."""
        return (self.layout.horizon + MAX_LATE + DAY) // 1000

    @cached_property
    def remembers(self) -> int:
        return (KEPT + DAY) // 1000

    def marker(self, event_id: str) -> bytes:
        return b"%bm:%b" % (self.prefix, raw(event_id))

    def learnt(self, kind: str, event_id: str) -> bytes:
        return b"%bl:%b:%b" % (self.prefix, kind.encode(), raw(event_id))


def hash_of(tenant_id: str, module: str) -> bytes:
    check_names(tenant_id, module)
    return f"fradect:{{{tenant_id}/{module}}}".encode()


_REFUSALS = frozenset({b"busy", b"moved", b"other"})


class Moved(Unavailable):
    """The scope is not as it was adopted; nothing was done."""


class Link:
    """Scripts by their digest, loaded where the server does not know them; safe to share among threads."""

    def __init__(self, address: RedisAddress, wait: float) -> None:
        self._address = address
        options = {
            "socket_timeout": wait,
            "socket_connect_timeout": wait,
            "health_check_interval": 0,
            # A connection that the server closed meanwhile is worth another try; every step may be repeated.
            "retry": Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        }
        # Its types say of every answer that it might have to be awaited.
        self.client: Any = redis.Redis(**{**address.options, **options})
        self._wire = Wire(self.client.connection_pool)
        self._digests: dict[str, str] = {}

    def close(self) -> None:
        self.client.close()

    def run(self, script: str, keys: Sequence[Bytes], arguments: Sequence[Bytes], errand: Errand | None = None) -> Any:
        return self.run_many(script, [(keys, arguments)], (errand,))[0]

    def ask(self, command: Sequence[Bytes], errand: Errand | None = None) -> Any:
        """A command's answer; the errand's commands go along in the same round trip."""
        try:
            [answer] = self._all([command], (errand,))
        except redis.RedisError as error:
            raise self._unavailable(error) from error
        if isinstance(answer, redis.RedisError):
            raise self._unavailable(answer) from answer
        return answer

    def run_many(
        self,
        script: str,
        calls: Sequence[tuple[Sequence[Bytes], Sequence[Bytes]]],
        errands: Sequence[Errand | None] = (),
    ) -> list[Any]:
        """Several runs of a script in one round trip, each whole, none depending on another; errands go along."""
        digest = self._digest(script)
        commands = [(b"EVALSHA", digest, len(keys), *keys, *arguments) for keys, arguments in calls]
        try:
            for _ in range(2):
                answers = self._all(commands, errands)
                refusals = [answer for answer in answers if isinstance(answer, redis.RedisError)]
                if not refusals:
                    return answers
                if not isinstance(refusals[0], NoScriptError):
                    raise refusals[0]
                self.client.script_load(script)
        except redis.RedisError as error:
            raise self._unavailable(error) from error
        raise Unavailable(f"the live state in {self._address} forgets its scripts; try again")

    def checked(self, answer: Sequence[Any], scope: RedisScope, event: Event | None = None) -> Sequence[Any]:
        """A script's answer, unless it refused."""
        if answer[0] not in _REFUSALS:
            return answer
        if answer[0] == b"busy":
            raise rebuilding(scope.tenant_id, scope.module)
        if answer[0] == b"moved":
            raise Moved(f"the live state of {scope.module} for {scope.tenant_id} was rebuilt a moment ago; try again")
        if answer[0] == b"other" and event is not None:
            raise other_fields(event)
        return answer

    def _all(self, commands: Sequence[Sequence[Bytes]], errands: Sequence[Errand | None]) -> list[Any]:
        """The answers in one round trip, errors among them. What several errands ask alike is asked once."""
        riding = [errand for errand in errands if errand is not None]
        asked: dict[Sequence[Bytes], int] = {}
        places = [[asked.setdefault(tuple(one), len(asked)) for one in errand.commands] for errand in riding]
        answers = self._wire.exchange([*commands, *asked])
        if not isinstance(answers[0], NoScriptError):  # else all is asked again
            for errand, mine in zip(riding, places, strict=True):
                errand.bring([answers[len(commands) + place] for place in mine])
        return answers[: len(commands)]

    @contextmanager
    def trouble(self) -> Iterator[None]:
        try:
            yield
        except redis.RedisError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: redis.RedisError) -> Unavailable:
        if isinstance(error, redis.TimeoutError):
            return Unavailable(f"the live state in {self._address} did not answer in time; try again")
        if isinstance(error, redis.AuthenticationError):
            return Unavailable(f"the live state in {self._address} refuses user or password")
        return Unavailable(f"the live state in {self._address} does not answer ({type(error).__name__})")

    def _digest(self, script: str) -> str:
        digest = self._digests.get(script)
        if digest is None:
            digest = self._digests[script] = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        return digest
