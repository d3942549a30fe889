"""What is said to Redis and heard from it: the keys and arguments of the scripts, and what their answers hold."""

from collections.abc import Sequence
from typing import NamedTuple

from fradect.adapters.state_link import RedisScope
from fradect.adapters.state_parts import PARTS, Draft, digest_of, pack_keys, raw, text, told
from fradect.adapters.state_wire import Bytes
from fradect.features.held import Held, Learnt
from fradect.reconcile import Waiting
from fradect.types import Event

APPENDED = ("rows", "fresh")

Call = tuple[list[Bytes], list[Bytes]]


class Shape(NamedTuple):
    """How the keys are spelt of whoever names these entities, and where an answer has what they hold.

    `begins`: of each entity, in a fingerprint and where keys are packed. `appended`, `others`: what a key's name begins
    with, and whose key ends it. `places`: by entity, of each part of a Held; the last place is of what is not there.
    """

    begins: tuple[tuple[bytes, bytes], ...]
    appended: tuple[tuple[bytes, int], ...]
    others: tuple[tuple[bytes, int], ...]
    places: tuple[tuple[str, tuple[int, ...]], ...]


def shape_of(scope: RedisScope, made: Sequence[Draft]) -> Shape:
    names = tuple([entity.entity for entity, _, _ in made])
    shape: Shape | None = scope.shapes.get(names)
    if shape is None:
        shape = scope.shapes[names] = _shape(scope, names)
    return shape


def _shape(scope: RedisScope, names: Sequence[str]) -> Shape:
    parts = [(part, head, whose) for whose, name in enumerate(names) for part, head in scope.heads[name]]
    parts.sort(key=lambda one: one[0] not in APPENDED)
    at = {(whose, part): place for place, (part, _, whose) in enumerate(parts)}
    raw_names = [name.encode() for name in names]
    return Shape(
        tuple((b"%b:" % name, b"%d:%b" % (len(name), name)) for name in raw_names),
        tuple((head, whose) for part, head, whose in parts if part in APPENDED),
        tuple((head, whose) for part, head, whose in parts if part not in APPENDED),
        tuple((name, tuple(at.get((whose, part), -1) for part in PARTS)) for whose, name in enumerate(names)),
    )


def arrival(scope: RedisScope, event: Event, made: Sequence[Draft], seq: int | None, *, reads: bool) -> Call:
    shape = shape_of(scope, made)
    names, rows = [key for _, key, _ in made], [row[16:] for _, _, row in made]
    keys: list[Bytes] = [scope.hash, scope.marker(event.event_id), scope.waiting]
    keys += [head + names[whose] for head, whose in shape.appended]
    if reads:
        keys += [head + names[whose] for head, whose in shape.others]
    sized = [b"%d:%b" % (len(name), name) for name in names]
    told = [begin + name + row for (begin, _), name, row in zip(shape.begins, sized, rows, strict=True)]
    packed = [begin + name for (_, begin), name in zip(shape.begins, sized, strict=True)]
    time = event.event_time
    return keys, [
        *scope.guard,
        b"" if seq is None else seq,
        time,
        time.to_bytes(8, "little", signed=True),
        digest_of(told),
        pack_waiting(event.event_id, packed),
        scope.remembers,
        scope.lasts,
        len(shape.appended),
        b"reads" if reads else b"",
        *[rows[whose] for _, whose in shape.appended],
    ]


def learning(scope: RedisScope, learnt: Learnt) -> Call:
    event_id, number = learnt.event.event_id, "" if learnt.number is None else learnt.number
    made = told(scope.layout, learnt)
    keys: list[Bytes] = [scope.hash, scope.learnt(learnt.kind, event_id), scope.waiting]
    keys += [dict(scope.heads[entity.entity])["outcomes"] + key for entity, key, _ in made]
    waiting = b"" if learnt.number is not None else pack_waiting(event_id, [pack_keys(made)], learnt.kind)
    return keys, [*scope.guard, number, scope.remembers, scope.lasts, waiting, *(rows for _, _, rows in made)]


def read_keys(shape: Shape, made: Sequence[Draft]) -> list[bytes]:
    return [head + made[whose].key for heads in (shape.appended, shape.others) for head, whose in heads]


def seen_of(scope: RedisScope, shape: Shape, found: Sequence[bytes | None]) -> dict[str, Held | None]:
    at = [*found, None]
    seen: dict[str, Held | None] = dict.fromkeys(scope.entities)
    for entity, (r, f, t, o, m) in shape.places:
        seen[entity] = Held(at[r] or b"", at[f] or b"", at[t] or b"", at[o] or b"", at[m] or b"")
    return seen


def pack_waiting(event_id: str, keys: Sequence[bytes], kind: str = "") -> bytes:
    """What waits of an event, or of an outcome of it, with its packed keys; the script puts since when before it."""
    name = raw(event_id)
    return b"%b%d:%b%b" % (f"{kind} ".encode() if kind else b"", len(name), name, b"".join(keys))


def unpack_waiting(member: bytes) -> tuple[int, str, str, bytes]:
    """Since when, the outcome's kind, the event's id, and the keys as they were packed."""
    [one] = waiting_of((member, b"0"))
    end = member.index(b":", 8) + 1 + len(raw(one.event_id))
    return one.since, one.kind, one.event_id, member[end:]


def waiting_of(found: Sequence[bytes]) -> list[Waiting]:
    """Members of the sorted set, each followed by its number. Thousands are read again and again."""
    waiting = []
    for member, seq in zip(found[::2], found[1::2], strict=True):
        start = member.index(b":", 8) + 1
        kind, _, length = member[8 : start - 1].rpartition(b" ")
        event_id = text(member[start : start + int(length)])
        waiting.append(Waiting(int(seq), event_id, int.from_bytes(member[:8], "little"), kind.decode()))
    return waiting
