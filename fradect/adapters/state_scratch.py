"""A live state for a while: a file of its own, or a scope of its own in a Redis, gone afterwards."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import redis

from fradect.adapters.online_address import RedisAddress, address_of
from fradect.adapters.places import scratch
from fradect.adapters.state_link import hash_of
from fradect.adapters.state_redis import RedisState
from fradect.adapters.state_sqlite import SqliteState
from fradect.adapters.states import States
from fradect.errors import InvalidInput

_AT_ONCE = 1_000
_ANSWERED = 5.0
_PATIENCE = 30.0  # seconds that a step may take; nobody is waiting at a till


@dataclass(frozen=True, slots=True)
class ScratchState:
    """`tenant`: the name to use there; `words`: what it is, without a password; `together`: around several steps."""

    state: States
    tenant: str
    words: str
    together: Callable[[], AbstractContextManager[None]] = nullcontext


@contextmanager
def scratch_state(home: Path, tenant: str, module: str, url: str | None = None) -> Iterator[ScratchState]:
    """Without a URL a file under the home. In a Redis the tenant has another name, so that nobody's state is met.

    InvalidInput for a URL that is no Redis, Unavailable when it does not answer.
    """
    if url is None:
        with scratch(home) as folder:
            state = SqliteState(folder / "state.db", scratch=True)
            try:
                yield ScratchState(state, tenant, "a scratch SQLite file", state.together)
            finally:
                state.close()
        return
    address = _redis(url)
    name = f"replay-{secrets.token_hex(8)}"
    remote = RedisState(address, wait=_PATIENCE)
    try:
        yield ScratchState(remote, name, str(address))
    finally:
        remote.close()
        with suppress(redis.RedisError):  # what stays behind lives no longer than a window reaches
            _forget(address, name, module)


def check_scratch(url: str | None) -> None:
    """What `scratch_state` would say of the URL, before there is any work to lose."""
    if url is not None:
        address = _redis(url)
        remote = RedisState(address, wait=_ANSWERED)
        try:
            remote.now()
        finally:
            remote.close()


def _redis(url: str) -> RedisAddress:
    wanted = "--state: give redis[s]://[[user]:password@]host[:port][/number]; without it a scratch file is used"
    try:
        address = address_of(url)
    except InvalidInput as error:
        raise InvalidInput(wanted, field="state") from error
    if not isinstance(address, RedisAddress):
        raise InvalidInput(wanted, field="state")
    return address


def _forget(address: RedisAddress, tenant: str, module: str) -> None:
    options = {**address.options, "socket_timeout": _PATIENCE, "socket_connect_timeout": _PATIENCE}
    with redis.Redis(**options) as client:
        keys = client.scan_iter(hash_of(tenant, module) + b"*", count=_AT_ONCE)
        while some := list(islice(keys, _AT_ONCE)):
            client.unlink(*some)
