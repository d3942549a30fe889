"""Rate limits' counts in Redis: one round trip for all of them, each increment and its end one atomic step."""

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

from limits.storage import RedisStorage
from redis.exceptions import RedisError

from fradect.errors import Unavailable

_WAIT = 0.4


class Counted(Protocol):
    """A count to add, and for how many seconds the sum matters."""

    @property
    def name(self) -> str: ...
    @property
    def more(self) -> int: ...
    @property
    def seconds(self) -> int: ...


class RedisCounts:
    """Sums by name over every process that adds to them. Redis sees digests of names, which may hold a person's, under
    a prefix of their own, so it may be the live state's."""

    def __init__(self, url: str) -> None:
        options: dict[str, Any] = {"socket_timeout": _WAIT, "socket_connect_timeout": _WAIT}
        self._storage = RedisStorage(url, key_prefix="fradect:rate", **options)

    def add(self, counted: Sequence[Counted]) -> Sequence[int]:
        """The sums, these added. Unavailable when Redis does not answer in time."""
        storage = self._storage
        try:
            with storage.storage.pipeline(transaction=False) as pipe:
                for one in counted:
                    key = storage.prefixed_key(hashlib.sha256(one.name.encode()).hexdigest()[:32])
                    storage.lua_incr_expire([key], [one.seconds, one.more], client=pipe)
                return [int(total) for total in pipe.execute()]
        except (RedisError, OSError) as error:
            raise Unavailable(f"rate limits are not counted together ({type(error).__name__})") from error
