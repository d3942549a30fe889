"""Round trips over kept connections: each asker gets its own answers, whatever became of a connection before."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis.backoff import NoBackoff
from redis.retry import Retry

from fradect.adapters.state_link import RedisScope
from fradect.adapters.state_parts import PARTS, drafts, fingerprint, pack_keys
from fradect.adapters.state_redis_calls import APPENDED, arrival, read_keys, seen_of, shape_of, unpack_waiting
from fradect.adapters.state_wire import Wire
from fradect.features.layout import layout_of
from fradect.modules import contract_of, module_of
from fradect.types import Event

SCOPE = RedisScope("demo", "ecommerce", layout_of(module_of("ecommerce"), contract_of("ecommerce/standard")), b"1")


@pytest.fixture
def client(redis_db: str) -> Iterator[Any]:
    again = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    with redis.Redis.from_url(redis_db, socket_timeout=0.2, retry=again) as opened:
        yield opened


@pytest.fixture
def wire(client: Any) -> Wire:
    return Wire(client.connection_pool)


def _me(wire: Wire) -> int:
    return int(wire.exchange([("CLIENT", "ID")])[0])


def test_a_connection_is_kept(wire: Wire) -> None:
    assert _me(wire) == _me(wire)


def test_what_the_server_closed_is_opened_again(wire: Wire, client: Any) -> None:
    before = _me(wire)
    client.client_kill_filter(_id=str(before))
    assert wire.exchange([("ECHO", "a"), ("ECHO", "b")]) == [b"a", b"b"]
    assert _me(wire) != before


def test_a_refusal_is_the_answer_of_its_own_command(wire: Wire) -> None:
    first, refused, last = wire.exchange([("ECHO", "a"), ("INCR", "a", "b"), ("ECHO", "c")])
    assert (first, last) == (b"a", b"c")
    assert isinstance(refused, redis.ResponseError)


@pytest.mark.parametrize(
    ("commands", "error"),
    [([("ECHO", "late"), ("BLPOP", "nothing", 1)], redis.TimeoutError), ([("ECHO", None)], redis.DataError)],
)
def test_what_was_not_read_is_nobodys_answer(wire: Wire, commands: Any, error: type[Exception]) -> None:
    wire.exchange([("ECHO", "first")])
    with pytest.raises(error):
        wire.exchange(commands)
    assert wire.exchange([("ECHO", "mine")]) == [b"mine"]


def test_a_server_that_is_away_is_a_connection_error() -> None:
    with redis.Redis(port=1) as away, pytest.raises(redis.ConnectionError):
        Wire(away.connection_pool).exchange([("PING",)])


def test_threads_get_their_own_answers(wire: Wire) -> None:
    def ask(i: int) -> bool:
        return all(wire.exchange([("ECHO", f"{i}"), ("ECHO", n)]) == [b"%d" % i, b"%d" % n] for n in range(50))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(8)))


def test_a_forked_process_has_connections_of_its_own(wire: Wire) -> None:
    mine = _me(wire)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, b"%d" % _me(wire))
        os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(reading, 20)) != mine
    assert _me(wire) == mine
    os.close(reading)
    os.close(writing)


@given(st.dictionaries(st.sampled_from([e.field for e in SCOPE.layout.entities]), st.text(min_size=1)))
def test_an_arrival_is_spelt_as_both_states_spell_it_and_its_answer_is_found_again(fields: dict[str, Any]) -> None:
    event = Event("e", "demo", "ecommerce", 1, 1, fields)
    made = drafts(SCOPE.layout, event)
    keys, arguments = arrival(SCOPE, event, made, None, reads=True)
    assert arguments[5] == fingerprint(made)
    assert unpack_waiting(bytes(8) + bytes(arguments[6]))[2:] == ("e", pack_keys(made))  # type: ignore[arg-type]
    shape = shape_of(SCOPE, made)
    assert keys[3:] == read_keys(shape, made)
    # As if every key held its own name.
    seen = seen_of(SCOPE, shape, [key if isinstance(key, bytes) else None for key in keys[3:]])
    for entity, key, row in made:
        held, heads = seen[entity.entity], dict(SCOPE.heads[entity.entity])
        assert held is not None
        assert list(held) == [heads[part] + key if part in heads else b"" for part in PARTS]
        for part in APPENDED:
            if part in heads:
                assert arguments[10 + keys.index(heads[part] + key) - 2] == row[16:]
