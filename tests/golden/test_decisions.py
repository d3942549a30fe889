"""Decisions frozen in a file: whatever changes one of them changes it on purpose.

Write them anew with FRADECT_GOLDEN=write, and read the difference before it is committed.
"""

import asyncio
import os
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fradect.adapters.state_sqlite import SqliteState
from fradect.decide import Champion, Decider, Ports, Request, Source
from fradect.errors import FradectError, Unavailable
from fradect.judgement import load
from fradect.lists import Entry, ListName, Lists
from fradect.release import PARTS, assemble, digests, name_of
from fradect.turns import OwnThread
from fradect.types import DAY, HOUR, MINUTE, Decision, Event
from tests.factories_decision import NOON, MemoryBatch, MemoryLedger, purchase, toy_release

FOLDER = Path(__file__).parent
EXPECTED = FOLDER / "decisions.json"

CASES: dict[str, Sequence[Event]] = {
    "a quiet customer": [purchase("q1", signup_at=NOON - 400 * DAY, ip_country="RU", billing_country="RU")],
    "card testing on one device": [
        purchase(f"t{i}", at=NOON + i * MINUTE, customer_id=f"c{i}", card_token=f"k{i}", device_id="dt")
        for i in range(4)
    ],
    "a burst of one customer": [purchase(f"b{i}", at=NOON + i * MINUTE, customer_id="cb") for i in range(7)],
    "a new account, a high amount": [purchase("n1", signup_at=NOON - HOUR, amount=5_000_000, amount_base=5_000_000)],
    "cash on delivery at night": [
        purchase("o1", at=NOON - 10 * HOUR, payment_method="cod", amount=9_000_000, amount_base=9_000_000)
    ],
    "three countries": [purchase("g1", ip_country="KZ", billing_country="DE", shipping_country="RU")],
    "nothing known but who buys": [
        purchase(
            "u1",
            merchant_id=None,
            device_id=None,
            card_token=None,
            shipping_address_token=None,
            payment_method=None,
            channel=None,
        )
    ],
    "a denied card": [purchase("l1", card_token="kd")],
    "an allowed customer in a burst": [purchase(f"l{i}", at=NOON + i * MINUTE, customer_id="ca") for i in range(2, 9)],
    "an allowed customer from a denied range": [purchase("l9", customer_id="ca", ip="192.0.2.9")],
    "an extreme amount": [purchase("x1", amount=200_000_000, amount_base=200_000_000)],
}

LISTED = Lists(
    [
        Entry("demo", "ecommerce", ListName.DENY, "card", "kd"),
        Entry("demo", "ecommerce", ListName.DENY, "ip", "192.0.2.0/24"),
        Entry("demo", "ecommerce", ListName.ALLOW, "customer", "ca"),
    ]
)


@pytest.fixture
def threads() -> Iterator[tuple[OwnThread, ...]]:
    threads = tuple(OwnThread(name) for name in ("state", "batch", "ledger", "reads"))
    yield threads
    for thread in threads:
        thread.close()


def _decide(events: Sequence[Event], threads: tuple[OwnThread, ...], *, batch: bool) -> list[Any]:
    parts = {part: (FOLDER / "release" / part).read_bytes() for part in PARTS}
    release = load(assemble(name_of(digests(parts)), parts))
    state, numbers = SqliteState("", scratch=True), count(1)
    state.adopt(events[0].tenant_id, release.reader.layout)
    source = Source(lambda: NOON, lambda: f"dec_{next(numbers)}")
    decider = Decider(Ports(state, MemoryLedger(), *threads, signals=LISTED), 60_000, source)
    champion = Champion(release, MemoryBatch(None if batch else Unavailable("away")))

    async def all_of_them() -> list[Decision | None]:
        requests = [Request(event, "req_1", event.event_id, explain=True) for event in events]
        return [(await decider.decide(request, champion)).decision for request in requests]

    try:
        return [_plain(decision) for decision in asyncio.run(all_of_them()) if decision is not None]
    finally:
        state.close()


def _plain(decision: Decision) -> dict[str, Any]:
    return {
        "event": decision.event_id,
        "decision": decision.action.name,
        "score": decision.score,
        "probability": None if decision.probability is None else round(decision.probability, 5),
        "factors": [msgspec.structs.asdict(factor) for factor in decision.factors],
        "degraded": list(decision.degraded),
        "could_not_run": list(decision.could_not_run),
    }


def test_decisions_are_what_they_were(threads: tuple[OwnThread, ...]) -> None:
    if os.environ.get("FRADECT_GOLDEN") == "write":
        for part, raw in toy_release().parts().items():
            (FOLDER / "release" / part).write_bytes(raw)
    decided = {name: _decide(events, threads, batch=True) for name, events in CASES.items()}
    decided["without the feature store"] = _decide(CASES["a quiet customer"], threads, batch=False)
    text = msgspec.json.format(msgspec.json.encode(decided), indent=1) + b"\n"
    if os.environ.get("FRADECT_GOLDEN") == "write":
        EXPECTED.write_bytes(text)
    assert _close(msgspec.json.decode(text), msgspec.json.decode(EXPECTED.read_bytes()))


def _close(got: Any, expected: Any) -> bool:
    """Equal, but for the last digits of a model's own numbers."""
    if isinstance(got, float) and isinstance(expected, float):
        assert got == pytest.approx(expected, rel=1e-4, abs=1e-4)
        return True
    if isinstance(got, dict):
        assert got.keys() == expected.keys()
        return all(_close(got[name], expected[name]) for name in got)
    if isinstance(got, list):
        assert len(got) == len(expected)
        return all(_close(one, other) for one, other in zip(got, expected, strict=True))
    assert got == expected
    return True


def test_the_golden_release_is_whole() -> None:
    parts = {part: (FOLDER / "release" / part).read_bytes() for part in PARTS}
    with pytest.raises(FradectError):
        assemble("rel_0000000000000000", parts)
