"""Live state on SQLite: one file, one writer at a time, and nothing in it that the log could not give back."""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from pathlib import Path

from fradect.adapters.state_care import Care
from fradect.adapters.state_file import Scope, StateFile
from fradect.adapters.state_outcomes import Outcomes
from fradect.adapters.state_parts import (
    Draft,
    Filling,
    Mark,
    Size,
    check_names,
    drafts,
    fingerprint,
    not_adopted,
    numbered,
    other_fields,
    raw,
    superseded,
    text,
)
from fradect.errors import FradectError
from fradect.features.held import Held, Learnt, inserted, is_due, settle
from fradect.features.layout import Layout
from fradect.ports import Arrival, Arriving, Errand
from fradect.reconcile import Waiting
from fradect.types import Event

_AT_ONCE = 200  # steps in one transaction, so that arrivals hardly wait
_TOLD_AT_ONCE = 512  # outcomes, several of which may share a key


class SqliteState:
    """The live state in one SQLite file. Safe to call from several threads, which take turns; other processes may
    have the file open too.

    A commit survives the process, not a power cut: what was lost is applied again from the log. `scratch`: for a
    replay, which may lose all of it, and has the file to itself.
    """

    def __init__(self, path: Path | str, *, scratch: bool = False, wait: float = 5.0) -> None:
        """`wait`: seconds that a step waits for another process that is writing."""
        self._file = StateFile(path, scratch=scratch, wait=wait)
        self._scopes: dict[tuple[str, str], Scope] = {}
        self._care = Care(self._file)
        self._outcomes = Outcomes(self._file)

    def close(self) -> None:
        self._file.close()

    def together(self) -> AbstractContextManager[None]:
        """Steps inside cost one commit, and are lost together."""
        return self._file.together()

    def adopt(self, tenant_id: str, layout: Layout) -> bool:
        with self._file.transaction() as db:
            number = self._number_of(tenant_id, layout.module)
            (digest,) = db.execute("SELECT digest FROM scopes WHERE id = ?", (number,)).fetchone()
            if digest != layout.digest:
                self._file.clear(number)
                db.execute(
                    "UPDATE scopes SET digest = ?, newest = 0, confirmed_seq = 0, log_seq = -1 WHERE id = ?",
                    (layout.digest, number),
                )
        self._scopes[tenant_id, layout.module] = Scope.of(number, tenant_id, layout)
        return bool(digest == layout.digest)

    def arrive(self, event: Event, errand: Errand | None = None, /) -> Arrival:
        scope = self._adopted(event.tenant_id, event.module)
        made = drafts(scope.layout, event)
        with self._file.transaction():
            arrival = self._arrived(scope, event, made) or self._known(scope, event, made)
        _bring(errand)
        return arrival

    def arrive_many(self, arriving: Sequence[Arriving], /) -> Sequence[Arrival | FradectError]:
        with self._file.together():
            answers = [self._answer(one.event) for one in arriving]
        for one in arriving:
            _bring(one.errand)
        return answers

    def read(self, event: Event, seq: int, errand: Errand | None = None, /) -> Arrival:
        scope = self._adopted(event.tenant_id, event.module)
        made = drafts(scope.layout, event)
        with self._file.reading() as db:
            self._still(scope)
            found = db.execute(
                "SELECT newest FROM markers WHERE scope = ? AND event_id = ? AND seq = ?",
                (scope.id, raw(event.event_id), seq),
            ).fetchone()
            newest = found or db.execute("SELECT newest FROM scopes WHERE id = ?", (scope.id,)).fetchone()
            seen = self._file.seen(scope, made)
        _bring(errand)
        return Arrival(seq, event.event_time, newest[0], seen, scope.layout.digest)

    def withdraw(self, event: Event) -> None:
        self.withdraw_id(event.tenant_id, event.module, event.event_id)

    def withdraw_id(self, tenant_id: str, module: str, event_id: str, kind: str = "") -> None:
        scope = self._adopted(tenant_id, module)
        with self._file.transaction():
            self._still(scope)
            self._file.withdraw(scope, event_id, kind)

    def apply(self, event: Event, seq: int | None = None) -> int:
        scope = self._adopted(event.tenant_id, event.module)
        made = drafts(scope.layout, event)
        with self._file.transaction():
            arrival = self._arrived(scope, event, made) if seq is None else self._placed(scope, event, made, seq)
            return (arrival or self._known(scope, event, made)).seq

    def apply_many(self, events: Sequence[Event]) -> list[int]:
        numbers: list[int] = []
        for start in range(0, len(events), _AT_ONCE):
            with self._file.together():
                numbers += [self.apply(event) for event in events[start : start + _AT_ONCE]]
        return numbers

    def learn(self, outcomes: Sequence[Learnt]) -> list[int]:
        numbers: list[int] = []
        for start in range(0, len(outcomes), _TOLD_AT_ONCE):
            some = outcomes[start : start + _TOLD_AT_ONCE]
            for (tenant_id, module), mine in groupby(some, key=lambda one: (one.event.tenant_id, one.event.module)):
                scope = self._adopted(tenant_id, module)
                with self._file.transaction():
                    self._still(scope)
                    numbers += self._outcomes.learn(scope, list(mine), self.now())
        return numbers

    def reserve(self, tenant_id: str, module: str, count: int, at_least: int = 0) -> int:
        with self._file.transaction() as db:
            (last,) = db.execute(
                "UPDATE scopes SET last_seq = max(last_seq, ?) + ? WHERE id = ? RETURNING last_seq",
                (at_least, count, self._number_of(tenant_id, module)),
            ).fetchone()
        return int(last) - count + 1

    def known(self, tenant_id: str, module: str, event_ids: Sequence[str]) -> set[str]:
        scope = self._adopted(tenant_id, module)
        wanted = "SELECT 1 FROM markers WHERE scope = ? AND event_id = ?"
        with self._file.reading() as db:
            return {one for one in event_ids if db.execute(wanted, (scope.id, raw(one))).fetchone()}

    def unconfirmed(self, tenant_id: str, module: str) -> list[Waiting]:
        scope = self._adopted(tenant_id, module)
        with self._file.reading() as db:
            wanted = "SELECT seq, event_id, since, kind FROM waiting WHERE scope = ? ORDER BY seq"
            rows = db.execute(wanted, (scope.id,))
            return [Waiting(seq, text(event_id), since, kind) for seq, event_id, since, kind in rows]

    def confirm(self, tenant_id: str, module: str, seq: int) -> None:
        with self._file.transaction():
            self._confirm(self._adopted(tenant_id, module), seq)

    def confirm_exactly(self, tenant_id: str, module: str, seq: int, waiting: int) -> bool:
        scope = self._adopted(tenant_id, module)
        with self._file.transaction() as db:
            counted = db.execute("SELECT count(*) FROM waiting WHERE scope = ? AND seq <= ?", (scope.id, seq))
            if counted.fetchone()[0] != waiting:
                return False
            self._confirm(scope, seq)
            return True

    def confirmed(self, tenant_id: str, module: str) -> int:
        return self.mark(tenant_id, module).confirmed_seq

    def mark(self, tenant_id: str, module: str) -> Mark:
        with self._file.reading() as db:
            row = db.execute(
                "SELECT last_seq, newest, confirmed_seq, log_seq, digest FROM scopes "
                "WHERE tenant_id = ? AND module = ?",
                (tenant_id, module),
            ).fetchone()
        return Mark(*row) if row else Mark()

    def now(self) -> int:
        """The clock that `Waiting.since` is told by."""
        return time.time_ns() // 1000

    def refill(self, tenant_id: str, layout: Layout, filling: Filling) -> Mark:
        with self._file.transaction():
            number = self._number_of(tenant_id, layout.module)
        scope = Scope.of(number, tenant_id, layout)
        mark = self._care.refill(scope, filling)
        self._scopes[tenant_id, layout.module] = scope
        return mark

    def sweep(self) -> int:
        return sum(self._care.sweep(scope) for scope in list(self._scopes.values()))

    def settle_all(self, tenant_id: str, module: str) -> None:
        self._care.settle_all(self._adopted(tenant_id, module))

    def dump(self, tenant_id: str, module: str) -> Iterator[tuple[str, str, Held]]:
        return self._care.dump(self._adopted(tenant_id, module))

    def size(self, tenant_id: str, module: str) -> Size:
        return self._care.size(self._adopted(tenant_id, module))

    def forget(self, tenant_id: str, module: str, entity: str, key: str) -> bool:
        scope = self._adopted(tenant_id, module)
        if entity not in scope.entities:
            return False
        with self._file.transaction():
            self._still(scope)
            held = any(self._file.held(scope, entity, raw(key)))
            self._file.replace(scope, entity, raw(key), Held())
        return held

    def drop(self, tenant_id: str, module: str) -> None:
        with self._file.transaction() as db:
            number = self._number_of(tenant_id, module)
            self._file.clear(number)
            db.execute("DELETE FROM scopes WHERE id = ?", (number,))
        self._scopes.pop((tenant_id, module), None)

    def _number_of(self, tenant_id: str, module: str) -> int:
        """The small number that stands for a scope in the file; call in a transaction."""
        check_names(tenant_id, module)
        db = self._file.db
        db.execute("INSERT OR IGNORE INTO scopes (tenant_id, module) VALUES (?, ?)", (tenant_id, module))
        found = db.execute("SELECT id FROM scopes WHERE tenant_id = ? AND module = ?", (tenant_id, module)).fetchone()
        return int(found[0])

    def _adopted(self, tenant_id: str, module: str) -> Scope:
        scope = self._scopes.get((tenant_id, module))
        if scope is None:
            raise not_adopted(tenant_id, module)
        return scope

    def _still(self, scope: Scope) -> None:
        """Call in a transaction, before what is read or written by the layout."""
        if not self._file.is_kept(scope):
            del self._scopes[scope.tenant_id, scope.module]
            raise superseded(scope.tenant_id, scope.module)

    def _answer(self, event: Event) -> Arrival | FradectError:
        """An event that is refused has changed nothing."""
        try:
            return self.arrive(event)
        except FradectError as error:
            return error

    def _known(self, scope: Scope, event: Event, made: Sequence[Draft]) -> Arrival:
        """The first arrival of this id, seen again."""
        self._still(scope)
        seq, time_of_first, newest, digest = self._file.db.execute(
            "SELECT seq, time, newest, digest FROM markers WHERE scope = ? AND event_id = ?",
            (scope.id, raw(event.event_id)),
        ).fetchone()
        if digest and digest != fingerprint(made):
            raise other_fields(event)
        return Arrival(seq, time_of_first, newest, self._file.seen(scope, made), scope.layout.digest)

    def _arrived(self, scope: Scope, event: Event, made: Sequence[Draft]) -> Arrival | None:
        """None when the event is known."""
        place = self._file.number(scope, event.event_id, event.event_time, None)
        if place is None:
            return None
        seq, newest, confirmed = place
        self._file.mark(scope, event.event_id, (seq, event.event_time, newest), fingerprint(made))
        self._file.wait(scope, seq, event.event_id, self.now(), made)
        held = self._file.append(scope, made, seq)
        for entity, key, _ in made:
            one = held[entity.entity]
            if one is not None and is_due(entity, one, newest, confirmed):
                held[entity.entity] = settled = settle(entity, one, newest, confirmed)
                self._file.replace(scope, entity.entity, key, settled)
        return Arrival(seq, event.event_time, newest, held, scope.layout.digest)

    def _placed(self, scope: Scope, event: Event, made: Sequence[Draft], seq: int) -> Arrival | None:
        """An event of the log under its number, among those that came after it; None when it is known."""
        place = self._file.number(scope, event.event_id, event.event_time, seq)
        if place is None:
            return None
        self._file.mark(scope, event.event_id, (seq, event.event_time, place[1]), fingerprint(made))
        number = seq.to_bytes(8, "little")
        for entity, key, row in made:
            held = inserted(entity, self._file.held(scope, entity.entity, key), numbered(row, number), seq)
            self._file.replace(scope, entity.entity, key, held)
        return Arrival(seq, event.event_time, place[1], {})

    def _confirm(self, scope: Scope, seq: int) -> None:
        self._still(scope)
        db = self._file.db
        db.execute("UPDATE scopes SET confirmed_seq = max(confirmed_seq, ?) WHERE id = ?", (seq, scope.id))
        db.execute("DELETE FROM waiting WHERE scope = ? AND seq <= ?", (scope.id, seq))


def _bring(errand: Errand | None) -> None:
    """Nothing of it is in this file; it reads its own."""
    if errand is not None:
        errand.bring(())
