"""What is said to Redis and heard from it: the keys and arguments of the scripts, and what their answers hold."""

from collections.abc import Sequence

from fradect.adapters.state_link import RedisScope
from fradect.adapters.state_parts import Draft, fingerprint, pack_keys, raw, text, told
from fradect.adapters.state_wire import Bytes
from fradect.features.held import Held, Learnt
from fradect.types import Event

APPENDED = ("rows", "fresh")

Call = tuple[list[Bytes], list[Bytes]]


def arrival(scope: RedisScope, event: Event, made: Sequence[Draft], seq: int | None, *, reads: bool) -> Call:
    keys: list[Bytes] = [scope.hash, scope.marker(event.event_id), scope.waiting]
    rows: list[Bytes] = []
    for entity, key, row in made:
        for part, head in scope.heads[entity.entity]:
            if part in APPENDED:
                keys.append(head + key)
                rows.append(row[16:])
    if reads:
        keys += read_keys(scope, made)
    moment = event.event_time.to_bytes(8, "little", signed=True)
    arguments: list[Bytes] = [*scope.guard, "" if seq is None else seq, event.event_time, moment, fingerprint(made)]
    arguments += [pack_waiting(event.event_id, made), scope.remembers, scope.lasts, len(rows), *rows]
    return keys, arguments


def learning(scope: RedisScope, learnt: Learnt) -> Call:
    event_id, number = learnt.event.event_id, "" if learnt.number is None else learnt.number
    made = told(scope.layout, learnt)
    keys: list[Bytes] = [scope.hash, scope.learnt(learnt.kind, event_id), scope.waiting]
    keys += [dict(scope.heads[entity.entity])["outcomes"] + key for entity, key, _ in made]
    waiting = b"" if learnt.number is not None else pack_waiting(event_id, made, learnt.kind)
    return keys, [*scope.guard, number, scope.remembers, scope.lasts, waiting, *(rows for _, _, rows in made)]


def read_keys(scope: RedisScope, made: Sequence[Draft]) -> list[bytes]:
    return [head + key for entity, key, _ in made for _, head in scope.heads[entity.entity]]


def seen_of(scope: RedisScope, made: Sequence[Draft], found: Sequence[bytes | None]) -> dict[str, Held | None]:
    seen: dict[str, Held | None] = dict.fromkeys(scope.entities)
    coming = iter(found)
    for entity, _, _ in made:
        seen[entity.entity] = Held(**{part: next(coming) or b"" for part, _ in scope.heads[entity.entity]})
    return seen


def pack_waiting(event_id: str, made: Sequence[Draft], kind: str = "") -> bytes:
    """What waits of an event, or of an outcome of it; the script puts since when before it."""
    name = raw(event_id)
    return b"%b%d:%b%b" % (f"{kind} ".encode() if kind else b"", len(name), name, pack_keys(made))


def unpack_waiting(member: bytes) -> tuple[int, str, str, bytes]:
    """Since when, the outcome's kind, the event's id, and the keys as they were packed."""
    end = member.index(b":", 8)
    kind, _, length = member[8:end].rpartition(b" ")
    after = end + 1 + int(length)
    return int.from_bytes(member[:8], "little"), kind.decode(), text(member[end + 1 : after]), member[after:]
