"""What is done with a whole scope of the Redis state: filled anew, settled, swept, written out, measured."""

import secrets
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha1
from itertools import islice
from typing import Any

from fradect.adapters import state_scripts as scripts
from fradect.adapters.state_link import LETTERS, Link, RedisScope, hash_of
from fradect.adapters.state_parts import Filling, Mark, Size, rebuilding, spread_of, text
from fradect.adapters.state_wire import Bytes
from fradect.errors import Unavailable
from fradect.features.held import Held, settle
from fradect.features.layout import EntityLayout, Layout

_AT_ONCE = 1_000
_TAKEN = 60_000  # milliseconds after which a rebuild that was cut off no longer keeps others out
_NAMES = {letter: part for part, letter in LETTERS.items()}
_GROWING = ("rows", "fresh", "outcomes")


class RedisCare:
    """Works through a link beside what requests do over it."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._cursors: dict[bytes, int] = {}

    def settle(self, scope: RedisScope, entity: EntityLayout, key: bytes, held: Held, ends: tuple[int, int]) -> bool:
        """Settle a key as it was seen, unless it has changed since but for what was appended."""
        settled = settle(entity, held, *ends)
        keys: list[Bytes] = [scope.hash]
        arguments: list[Bytes] = [*scope.guard, scope.lasts]
        for part, head in scope.heads[entity.entity]:
            before = getattr(held, part)
            digest = sha1(before, usedforsecurity=False).hexdigest()
            keys.append(head + key)
            arguments += [len(before), digest, "grows" if part in _GROWING else "", getattr(settled, part)]
        answer = self._link.checked(self._link.run(scripts.SETTLE, keys, arguments), scope)
        return bool(answer[0] == b"done")

    def settle_all(self, scope: RedisScope, mark: Mark) -> None:
        for entity, key, held in self._found(scope):
            self.settle(scope, scope.entities[entity], key, held, (mark.newest, mark.confirmed_seq))

    def dump(self, scope: RedisScope) -> Iterator[tuple[str, str, Held]]:
        found = sorted(self._found(scope), key=lambda one: one[:2])
        return ((entity, text(key), held) for entity, key, held in found if held)

    def size(self, scope: RedisScope) -> Size:
        lengths: dict[str, list[int]] = defaultdict(list)
        for entity, _, held in self._found(scope):
            parts = (held.rows, held.fresh, held.tiles, held.outcomes, held.matured)
            lengths[entity].append(sum(map(len, parts)))
        with self._link.trouble():
            waiting = int(self._link.client.zcard(scope.waiting))
            markers = sum(1 for _ in self._link.client.scan_iter(scope.prefix + b"m:*", count=_AT_ONCE))
        return Size({entity: spread_of(some) for entity, some in sorted(lengths.items())}, markers, waiting)

    def refill(self, tenant_id: str, layout: Layout, filling: Filling) -> RedisScope:
        """The next generation is written beside the one that counts; arrivals are Unavailable until it counts."""
        name, me = hash_of(tenant_id, layout.module), secrets.token_hex(8)
        generation = self._taken(name, me, (tenant_id, layout.module))
        scope = RedisScope(tenant_id, layout.module, layout, b"%d" % generation)
        try:
            self._write(scope, me, self._commands(scope, filling))
            mark = filling.mark
            marks = [mark.last_seq, mark.newest, mark.confirmed_seq, mark.log_seq]
            if not self._link.run(scripts.GIVE, [name], [me, scope.generation, scope.digest, *marks]):
                raise Unavailable(f"the rebuild of {layout.module} for {tenant_id} took too long at a time: try again")
        except BaseException:
            with suppress(Unavailable):
                self._link.run(scripts.GIVE, [name], [me])
            raise
        return scope

    def sweep(self, scope: RedisScope) -> int:
        """Remove keys of generations that count no more; the rest Redis lets go of by itself."""
        with self._link.trouble():
            client = self._link.client
            if scope.hash not in self._cursors and not client.hget(scope.hash, "stale"):
                return 0
            current = client.hget(scope.hash, "gen")
            cursor, keys = client.scan(self._cursors.get(scope.hash, 0), match=scope.hash + b":*", count=_AT_ONCE)
            old = [key for key in keys if int(key[len(scope.hash) + 1 :].split(b":", 1)[0]) < int(current or 0)]
            if old:
                client.unlink(*old)
            self._cursors[scope.hash] = int(cursor)
            if not cursor:
                del self._cursors[scope.hash]
                client.hdel(scope.hash, "stale")
            return len(old)

    def drop(self, name: bytes) -> None:
        with self._link.trouble():
            keys = [name, *self._link.client.scan_iter(name + b":*", count=_AT_ONCE)]
            for start in range(0, len(keys), _AT_ONCE):
                self._link.client.unlink(*keys[start : start + _AT_ONCE])

    def _taken(self, name: bytes, me: str, whose: tuple[str, str]) -> int:
        generation = int(self._link.run(scripts.TAKE, [name], [me, _TAKEN]))
        if not generation:
            raise rebuilding(*whose)
        return generation

    def _write(self, scope: RedisScope, me: str, commands: Iterable[tuple[Any, ...]]) -> None:
        coming = iter(commands)
        while some := list(islice(coming, _AT_ONCE)):
            with self._link.trouble(), self._link.client.pipeline(transaction=False) as pipe:
                for command in some:
                    pipe.execute_command(*command)
                pipe.execute()
            self._taken(scope.hash, me, (scope.tenant_id, scope.module))

    def _commands(self, scope: RedisScope, filling: Filling) -> Iterator[tuple[Any, ...]]:
        for entity, key, held in filling.held:
            for part, head in scope.heads[entity]:
                if cell := getattr(held, part):
                    yield ("SET", head + key, cell, "PX", scope.lasts)
        for event_id, seq, time in filling.markers:
            value = b"".join(number.to_bytes(8, "little", signed=True) for number in (seq, time, time))
            yield ("SET", scope.prefix + b"m:" + event_id, value, "PX", scope.remembers)
        for kind, event_id, _, own in filling.learnt:
            name = b"%bl:%b:%b" % (scope.prefix, kind.encode(), event_id)
            yield ("SET", name, own.to_bytes(8, "little"), "PX", scope.remembers)

    def _found(self, scope: RedisScope) -> Iterator[tuple[str, bytes, Held]]:
        """Every key with what it holds, a page at a time, in no order."""
        places: set[tuple[str, bytes]] = set()
        with self._link.trouble():
            for name in self._link.client.scan_iter(scope.prefix + b"[rftoa]:*", count=_AT_ONCE):
                _, entity, key = name[len(scope.prefix) :].split(b":", 2)
                places.add((entity.decode(), key))
        coming = iter(places)
        while some := list(islice(coming, _AT_ONCE)):
            with self._link.trouble():
                keys = [head + key for entity, key in some for _, head in scope.heads[entity]]
                found = iter(self._link.client.mget(keys))
            for entity, key in some:
                yield entity, key, Held(**{part: next(found) or b"" for part, _ in scope.heads[entity]})
