"""Live state on Redis. Every key of a scope begins with `fradect:{<tenant>/<module>}` (one slot of a cluster):

    (nothing)                       the scope: its layout, its marks, and the generation <g> that counts
    :<g>:m:<event id>               a marker: number, time, newest time by then, fingerprint; for 8 days
    :<g>:l:<kind>:<event id>        an outcome is known: its number; for 8 days
    :<g>:w                          arrivals that are not confirmed, by number, with their keys (a sorted set)
    :<g>:<part>:<entity>:<key>      a part of what is held: r(ows), f(resh), t(iles), o(utcomes), a (matured)

What is written lives as long as a window can reach it. A rebuild fills the next generation and then switches to it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import Any, TypeVar

from fradect.adapters import state_scripts as scripts
from fradect.adapters.online_address import RedisAddress
from fradect.adapters.state_link import Link, Moved, RedisScope, hash_of
from fradect.adapters.state_parts import (
    Draft,
    Filling,
    Mark,
    Size,
    drafts,
    not_adopted,
    raw,
    rebuilding,
    superseded,
    unpack_keys,
)
from fradect.adapters.state_redis_calls import (
    APPENDED,
    arrival,
    learning,
    read_keys,
    seen_of,
    shape_of,
    unpack_waiting,
    waiting_of,
)
from fradect.adapters.state_redis_care import RedisCare
from fradect.adapters.state_wire import Bytes
from fradect.errors import FradectError, InvalidInput, Unavailable
from fradect.features.held import SETTLE_FROM, Held, Learnt, is_due, key_of
from fradect.features.layout import Layout
from fradect.ports import Arrival, Arriving, Errand
from fradect.reconcile import Waiting
from fradect.types import Event

_AT_ONCE = 500  # steps in one round trip

T = TypeVar("T")


class RedisState:
    """The live state in a Redis, which many processes share. Safe to call from several threads."""

    def __init__(self, address: RedisAddress, *, wait: float = 5.0) -> None:
        """`wait`: seconds after which a step that was not answered is Unavailable."""
        self._link = Link(address, wait)
        self._scopes: dict[tuple[str, str], RedisScope] = {}
        self._care = RedisCare(self._link)

    def close(self) -> None:
        self._link.close()

    def adopt(self, tenant_id: str, layout: Layout) -> bool:
        answer = self._link.run(scripts.ADOPT, [hash_of(tenant_id, layout.module)], [layout.digest])
        if answer[0] == b"busy":
            raise rebuilding(tenant_id, layout.module)
        self._scopes[tenant_id, layout.module] = RedisScope(tenant_id, layout.module, layout, answer[1])
        return bool(answer[0] == b"same")

    def arrive(self, event: Event, errand: Errand | None = None, /) -> Arrival:
        return self._on(event.tenant_id, event.module, lambda scope: self._arrive(scope, event, errand))

    def arrive_many(self, arriving: Sequence[Arriving], /) -> Sequence[Arrival | FradectError]:
        if len({(one.event.tenant_id, one.event.module) for one in arriving}) > 1:
            return [self._answer(one) for one in arriving]
        try:
            scope = self._adopted(arriving[0].event.tenant_id, arriving[0].event.module)
        except Unavailable as error:
            return [error] * len(arriving)
        return self._arrive_together(scope, arriving)

    def read(self, event: Event, seq: int, errand: Errand | None = None, /) -> Arrival:
        scope = self._adopted(event.tenant_id, event.module)
        made = [Draft(e, raw(key), b"") for e in scope.layout.entities if (key := key_of(e, event)) is not None]
        with self._link.trouble():
            shape = shape_of(scope, made)
            found = self._link.ask(("MGET", scope.marker(event.event_id), *read_keys(shape, made)), errand)
            marker, held = found[0], found[1:]
            if marker and int.from_bytes(marker[:8], "little") == seq:
                newest = int.from_bytes(marker[16:24], "little")
            else:
                newest = int(self._link.client.hget(scope.hash, "newest") or 0)
        return Arrival(seq, event.event_time, newest, seen_of(scope, shape, held), scope.layout.digest)

    def withdraw(self, event: Event) -> None:
        self.withdraw_id(event.tenant_id, event.module, event.event_id)

    def withdraw_id(self, tenant_id: str, module: str, event_id: str, kind: str = "") -> None:
        self._on(tenant_id, module, lambda scope: self._withdraw(scope, event_id, kind))

    def apply(self, event: Event, seq: int | None = None) -> int:
        return self._on(event.tenant_id, event.module, lambda scope: self._apply(scope, event, seq))

    def apply_many(self, events: Sequence[Event]) -> list[int]:
        numbers: list[int] = []
        for start in range(0, len(events), _AT_ONCE):
            numbers += self._apply_some(events[start : start + _AT_ONCE])
        return numbers

    def learn(self, outcomes: Sequence[Learnt]) -> list[int]:
        numbers: list[int] = []
        for start in range(0, len(outcomes), _AT_ONCE):
            numbers += self._learn_some(outcomes[start : start + _AT_ONCE])
        return numbers

    def reserve(self, tenant_id: str, module: str, count: int, at_least: int = 0) -> int:
        last = self._link.run(scripts.RESERVE, [hash_of(tenant_id, module)], [count, at_least])
        return int(last) - count + 1

    def known(self, tenant_id: str, module: str, event_ids: Sequence[str]) -> set[str]:
        scope = self._adopted(tenant_id, module)
        with self._link.trouble(), self._link.client.pipeline(transaction=False) as pipe:
            for event_id in event_ids:
                pipe.exists(scope.marker(event_id))
            found = pipe.execute()
        return {event_id for event_id, there in zip(event_ids, found, strict=True) if there}

    def unconfirmed(self, tenant_id: str, module: str) -> list[Waiting]:
        return self._on(tenant_id, module, self._waiting)

    def confirm(self, tenant_id: str, module: str, seq: int) -> None:
        self._on(tenant_id, module, lambda scope: self._confirm(scope, seq, ""))

    def confirm_exactly(self, tenant_id: str, module: str, seq: int, waiting: int) -> bool:
        return self._on(tenant_id, module, lambda scope: self._confirm(scope, seq, waiting))

    def confirmed(self, tenant_id: str, module: str) -> int:
        return self.mark(tenant_id, module).confirmed_seq

    def mark(self, tenant_id: str, module: str) -> Mark:
        with self._link.trouble():
            names = ["last", "newest", "confirmed", "log", "digest"]
            *marks, digest = self._link.client.hmget(hash_of(tenant_id, module), names)
        last, newest, confirmed = (int(mark or 0) for mark in marks[:3])
        return Mark(last, newest, confirmed, int(marks[3] or -1), (digest or b"").decode())

    def now(self) -> int:
        with self._link.trouble():
            seconds, micros = self._link.client.time()
        return int(seconds) * 1_000_000 + int(micros)

    def refill(self, tenant_id: str, layout: Layout, filling: Filling) -> Mark:
        self._scopes[tenant_id, layout.module] = self._care.refill(tenant_id, layout, filling)
        return self.mark(tenant_id, layout.module)

    def sweep(self) -> int:
        return sum(self._care.sweep(scope) for scope in list(self._scopes.values()))

    def settle_all(self, tenant_id: str, module: str) -> None:
        self._care.settle_all(self._current(tenant_id, module), self.mark(tenant_id, module))

    def dump(self, tenant_id: str, module: str) -> Iterator[tuple[str, str, Held]]:
        return self._care.dump(self._current(tenant_id, module))

    def size(self, tenant_id: str, module: str) -> Size:
        return self._care.size(self._current(tenant_id, module))

    def forget(self, tenant_id: str, module: str, entity: str, key: str) -> bool:
        scope = self._current(tenant_id, module)
        names = [head + raw(key) for _, head in scope.heads.get(entity, ())]
        with self._link.trouble():
            return bool(names and self._link.client.unlink(*names))

    def drop(self, tenant_id: str, module: str) -> None:
        self._care.drop(hash_of(tenant_id, module))
        self._scopes.pop((tenant_id, module), None)

    def _adopted(self, tenant_id: str, module: str) -> RedisScope:
        scope = self._scopes.get((tenant_id, module))
        if scope is None:
            raise not_adopted(tenant_id, module)
        return scope

    def _current(self, tenant_id: str, module: str) -> RedisScope:
        """The scope after another process has rebuilt it, perhaps; Unavailable when it did so as another layout."""
        scope = self._adopted(tenant_id, module)
        with self._link.trouble():
            generation, digest = self._link.client.hmget(scope.hash, ["gen", "digest"])
        if generation is None or digest != scope.digest:
            del self._scopes[tenant_id, module]
            raise superseded(tenant_id, module)
        current = RedisScope(tenant_id, module, scope.layout, generation)
        self._scopes[tenant_id, module] = current
        return current

    def _on(self, tenant_id: str, module: str, step: Callable[[RedisScope], T]) -> T:
        """The step, and once more when the scope was rebuilt since it was adopted: it has done nothing then."""
        try:
            return step(self._adopted(tenant_id, module))
        except Moved:
            return step(self._current(tenant_id, module))

    def _answer(self, one: Arriving) -> Arrival | FradectError:
        try:
            return self.arrive(*one)
        except FradectError as error:
            return error

    def _arrive_together(self, scope: RedisScope, arriving: Sequence[Arriving]) -> list[Arrival | FradectError]:
        """In one round trip; who is refused, or meets a scope that was rebuilt meanwhile, is told, or tries, alone."""
        try:
            made = [drafts(scope.layout, one.event) for one in arriving]
        except InvalidInput:
            return [self._answer(one) for one in arriving]
        calls = [arrival(scope, one.event, some, None, reads=True) for one, some in zip(arriving, made, strict=True)]
        found = self._link.run_many(scripts.ARRIVE, calls, [one.errand for one in arriving])
        answers: list[Arrival | FradectError] = []
        for one, some, answer in zip(arriving, made, found, strict=True):
            try:
                answers.append(self._arrived(scope, one.event, some, answer))
            except Moved:
                answers.append(self._answer(one))
            except FradectError as error:
                answers.append(error)
        return answers

    def _arrive(self, scope: RedisScope, event: Event, errand: Errand | None) -> Arrival:
        made = drafts(scope.layout, event)
        call = arrival(scope, event, made, None, reads=True)
        return self._arrived(scope, event, made, self._link.run(scripts.ARRIVE, *call, errand))

    def _arrived(self, scope: RedisScope, event: Event, made: Sequence[Draft], told_back: Sequence[Any]) -> Arrival:
        answer = self._link.checked(told_back, scope, event)
        seq, time, newest, confirmed, found = answer[1:6]
        seen = seen_of(scope, shape_of(scope, made), found)
        if answer[0] == b"new":
            self._settle_due(scope, made, seen, (newest, confirmed))
        return Arrival(seq, time, newest, seen, scope.layout.digest)

    def _apply(self, scope: RedisScope, event: Event, seq: int | None) -> int:
        call = arrival(scope, event, drafts(scope.layout, event), seq, reads=False)
        return int(self._link.checked(self._link.run(scripts.ARRIVE, *call), scope, event)[1])

    def _apply_some(self, events: Sequence[Event]) -> list[int]:
        """In one round trip where all are of one scope, as they are unless somebody mixes tenants."""
        if len({(event.tenant_id, event.module) for event in events}) > 1:
            return [self.apply(event) for event in events]
        return self._on(events[0].tenant_id, events[0].module, lambda scope: self._apply_all(scope, events))

    def _apply_all(self, scope: RedisScope, events: Sequence[Event]) -> list[int]:
        made = [drafts(scope.layout, event) for event in events]
        calls = [arrival(scope, event, some, None, reads=False) for event, some in zip(events, made, strict=True)]
        answers = self._link.run_many(scripts.ARRIVE, calls)
        checked = [self._link.checked(answer, scope, event) for answer, event in zip(answers, events, strict=True)]
        self._settle_long(scope, made, checked)
        return [int(answer[1]) for answer in checked]

    def _settle_long(
        self, scope: RedisScope, made: Sequence[Sequence[Draft]], answers: Sequence[Sequence[Any]]
    ) -> None:
        """What nobody reads meanwhile is settled too, once it has grown long."""
        long: dict[tuple[str, bytes], Draft] = {}
        for some, answer in zip(made, answers, strict=True):
            appended = [draft for draft in some for part, _ in scope.heads[draft.entity.entity] if part in APPENDED]
            lengths = answer[6] if len(answer) > 6 else ()
            for draft, length in zip(appended, lengths, strict=False):
                if length > 16 * SETTLE_FROM * draft.entity.width:
                    long[draft.entity.entity, draft.key] = draft
        if long:
            self._settle_these(scope, list(long.values()))

    def _settle_these(self, scope: RedisScope, drafted: Sequence[Draft]) -> None:
        shapes = [shape_of(scope, [draft]) for draft in drafted]
        keys = [read_keys(shape, [draft]) for shape, draft in zip(shapes, drafted, strict=True)]
        found = iter(self._link.ask(("MGET", *chain.from_iterable(keys))))
        mark = self.mark(scope.tenant_id, scope.module)
        for shape, draft, mine in zip(shapes, drafted, keys, strict=True):
            seen = seen_of(scope, shape, list(islice(found, len(mine))))
            self._settle_due(scope, [draft], seen, (mark.newest, mark.confirmed_seq))

    def _learn_some(self, outcomes: Sequence[Learnt]) -> list[int]:
        """In one round trip, as `_apply_some`."""
        if len({(one.event.tenant_id, one.event.module) for one in outcomes}) > 1:
            return [number for one in outcomes for number in self._learn_some([one])]
        about = outcomes[0].event
        return self._on(about.tenant_id, about.module, lambda scope: self._learn_all(scope, outcomes))

    def _learn_all(self, scope: RedisScope, outcomes: Sequence[Learnt]) -> list[int]:
        answers = self._link.run_many(scripts.LEARN, [learning(scope, learnt) for learnt in outcomes])
        return [int(self._link.checked(answer, scope)[1]) for answer in answers]

    def _withdraw(self, scope: RedisScope, event_id: str, kind: str) -> None:
        marker = scope.learnt(kind, event_id) if kind else scope.marker(event_id)
        with self._link.trouble():
            known = self._link.client.get(marker)
            if known is None:
                return
            seq = int.from_bytes(known[:8], "little")
            waiting = self._link.client.zrangebyscore(scope.waiting, seq, seq)
        if not waiting:
            return  # it is confirmed
        packed = unpack_waiting(waiting[0])[-1]
        keys: list[Bytes] = [scope.hash, marker, scope.waiting]
        widths: list[Bytes] = []
        for entity, key in unpack_keys(packed):
            for part, head in scope.heads[entity]:
                if part in (("outcomes",) if kind else APPENDED):
                    keys.append(head + key)
                    widths.append(32 if kind else 8 * scope.entities[entity].width)
        self._link.checked(self._link.run(scripts.WITHDRAW, keys, [*scope.guard, seq, *widths]), scope)

    def _waiting(self, scope: RedisScope) -> list[Waiting]:
        """Some at a time: others want this thread's turn and the server's."""
        waiting: list[Waiting] = []
        after = "-inf"
        while True:
            found = self._link.ask(("ZRANGEBYSCORE", scope.waiting, after, "+inf", "WITHSCORES", "LIMIT", 0, _AT_ONCE))
            waiting += waiting_of(found)
            if len(found) < 2 * _AT_ONCE:
                return waiting
            after = f"({waiting[-1].seq}"

    def _confirm(self, scope: RedisScope, seq: int, waiting: int | str) -> bool:
        answer = self._link.run(scripts.CONFIRM, [scope.hash, scope.waiting], [*scope.guard, seq, waiting])
        return bool(self._link.checked(answer, scope)[0] == b"done")

    def _settle_due(
        self, scope: RedisScope, made: Sequence[Draft], seen: Mapping[str, Held | None], ends: tuple[int, int]
    ) -> None:
        """The arrival stands whatever becomes of this: who comes next sees again that it is due."""
        for entity, key, _ in made:
            held = seen[entity.entity]
            if held is not None and is_due(entity, held, *ends):
                with suppress(Unavailable):
                    self._care.settle(scope, entity, key, held, ends)
