"""A relay among receivers that hang, cut, redirect, flood and change their minds: all on real sockets."""

import asyncio
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook

from fradect.adapters.outward import Guard
from fradect.adapters.webhook_queue import Leased, Told
from fradect.adapters.webhook_relay import Relay
from fradect.adapters.webhook_sender import Limits, WebhookSender
from fradect.deliveries import Attempt, Delivery, Endpoint, State, Why
from fradect.settings import Outward
from fradect.types import DAY
from fradect.webhooks import verify
from tests.factories_decision import NOON
from tests.factories_receiver import (
    ON_LOOPBACK,
    Behaviour,
    Receiver,
    answer,
    babble,
    cut,
    drip,
    endless_headers,
    flood,
    hang,
)
from tests.factories_webhooks import QUICK, Town

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    held = Town(f"sqlite:///{tmp_path}/ledger.db", tmp_path)
    yield held
    held.close()


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def make(*behaviours: Behaviour) -> Receiver:
        made.append(Receiver(*behaviours))
        return made[-1]

    yield make
    for one in made:
        one.close()


Make = Callable[..., Receiver]


def _states(town: Town, endpoint: Endpoint) -> list[State]:
    return [one.state for one in town.told_of(endpoint)]


def _tried(town: Town, endpoint: Endpoint, count: int = 1) -> list[Delivery]:
    """Deliveries whose last try was settled."""
    return [one for one in town.told_of(endpoint) if one.attempts >= count and (one.last_status or one.last_error)]


def test_a_message_arrives_as_promised_and_proves_that_it_is_ours(town: Town, receiver: Make) -> None:
    shop = receiver()
    endpoint = town.listen(shop.url, secret=SECRET)
    town.decide("tx1")
    relay = town.relay_until(lambda: _states(town, endpoint) == [State.DELIVERED])
    (received,) = shop.received
    assert received.path == "/hooks?from=fradect"
    assert received.headers["Content-Type"] == "application/json"
    assert received.headers["X-Fradect-Event"] == "risk.decision.created"
    assert received.headers["X-Fradect-Signature"].startswith("sha256=")
    told = Webhook(SECRET).verify(received.body, received.headers)
    assert told["data"]["decision_id"] == "dec_tx1"
    assert verify([SECRET], received.headers, received.body, time.time()) == town.told_of(endpoint)[0].message_id
    assert relay.counts == {"delivered": 1}


def test_500_then_200_is_delivered_at_the_second_try_with_the_same_id_and_body(town: Town, receiver: Make) -> None:
    shop = receiver(answer(500), answer(200))
    endpoint = town.listen(shop.url)
    town.decide("tx1")
    town.relay_until(lambda: bool(_tried(town, endpoint)))
    (held,) = town.told_of(endpoint)
    assert (held.state, held.last_status, held.last_error) == (State.WAITING, 500, "status")
    town.clock.ahead += 6_000_000
    town.relay_until(lambda: _states(town, endpoint) == [State.DELIVERED])
    assert len(shop.received) == 2
    assert len(set(shop.ids())) == 1
    assert shop.received[0].body == shop.received[1].body


def test_410_ends_it(town: Town, receiver: Make) -> None:
    shop = receiver(answer(410))
    endpoint = town.listen(shop.url)
    town.decide("tx1")
    town.relay_until(lambda: town.endpoints.shown("demo", endpoint.id).disabled_why == Why.GONE)
    town.decide("tx2")
    town.clock.ahead += DAY
    other = receiver()
    fine = town.listen(other.url)
    town.relay_until(lambda: _states(town, fine) == [State.DELIVERED])
    assert len(shop.received) == 1


WORDS: list[tuple[Behaviour, int | None, str]] = [
    (answer(301, "Location: http://169.254.169.254/latest/meta-data/"), 301, "redirect"),
    (answer(307, "Location: /elsewhere"), 307, "redirect"),
    (answer(404), 404, "status"),
    (answer(429, "Retry-After: 120"), 429, "status"),
    (cut, None, "connection"),
    (hang, None, "timeout"),
    (drip, None, "timeout"),
    (endless_headers, None, "connection"),
    (babble, None, "connection"),
]


@pytest.mark.parametrize(("behaviour", "status", "word"), WORDS)
def test_whatever_is_no_2xx_is_tried_again_later(
    town: Town, receiver: Make, behaviour: Behaviour, status: int | None, word: str
) -> None:
    shop = receiver(behaviour)
    endpoint = town.listen(shop.url)
    town.decide("tx1")
    began = time.monotonic()
    town.relay_until(lambda: bool(_tried(town, endpoint)))
    assert time.monotonic() - began < 8.0
    (held,) = town.told_of(endpoint)
    assert (held.state, held.last_status, held.last_error) == (State.WAITING, status, word)
    assert len(shop.received) == 1, "nothing is followed, nothing is tried at once"
    waits = 120 if status == 429 else 5
    assert waits - 1 <= (held.due_at - NOON) / 1e6 < waits + 15


def test_of_a_flood_nobody_reads_more_than_the_beginning(town: Town, receiver: Make) -> None:
    shop = receiver(flood)
    endpoint = town.listen(shop.url)
    town.decide("tx1")
    began = time.monotonic()
    town.relay_until(lambda: _states(town, endpoint) == [State.DELIVERED], Limits(whole=5.0))
    assert time.monotonic() - began < 4.0, "it said 200 before it began"


def test_a_receiver_that_hangs_holds_up_nobody_else(town: Town, receiver: Make) -> None:
    stuck, shop = receiver(hang), receiver()
    slow, quick = town.listen(stuck.url), town.listen(shop.url)
    town.decide(*[f"tx{n}" for n in range(40)])
    limits = Limits(connect=0.5, whole=30.0)
    began = time.monotonic()
    town.relay_until(lambda: _states(town, quick).count(State.DELIVERED) == 40, limits)
    assert time.monotonic() - began < 10.0
    assert stuck.most_at_once == 1, "one connection of everybody's is all that it holds"
    assert State.DELIVERED not in _states(town, slow)


def test_many_that_hang_hold_up_nobody_else(town: Town, receiver: Make) -> None:
    stuck = receiver(hang)
    for n in range(40):
        town.listen(stuck.url, tenant="demo" if n < 15 else f"tenant{n % 4}")
    shop = receiver()
    quick = town.listen(shop.url)
    town.decide("tx1", "tx2")
    for n in range(4):
        town.decide(f"of-tenant{n}", tenant=f"tenant{n}")
    began = time.monotonic()
    town.relay_until(lambda: _states(town, quick).count(State.DELIVERED) == 2, Limits(connect=0.5, whole=30.0))
    assert time.monotonic() - began < 5.0


def test_a_lane_widens_while_it_delivers_and_connections_are_kept(town: Town, receiver: Make) -> None:
    def unhurried(connection: object) -> bool:
        time.sleep(0.02)
        return answer()(connection)  # type: ignore[arg-type]

    shop = receiver(unhurried)
    endpoint = town.listen(shop.url)
    town.decide(*[f"tx{n}" for n in range(100)])
    town.relay_until(lambda: _states(town, endpoint).count(State.DELIVERED) == 100)
    assert 4 <= shop.most_at_once <= 16
    assert len(shop._open) <= 20, "connections are used again"
    assert len(set(shop.ids())) == 100


def test_an_address_that_is_not_allowed_any_more_is_not_called(town: Town, receiver: Make) -> None:
    shop = receiver()
    endpoint = town.listen(shop.url)
    attempt = asyncio.run(_one_try(town, endpoint, Outward(http=True, ports=(range(1, 65_536),))))
    assert attempt == Attempt(error="address-not-allowed")
    assert asyncio.run(_one_try(town, endpoint, Outward())) == Attempt(error="address-not-allowed")
    assert shop.received == []


def test_without_its_secret_nothing_is_sent(town: Town, receiver: Make) -> None:
    shop = receiver()
    endpoint = town.listen(shop.url)
    attempt = asyncio.run(_one_try(town, endpoint, ON_LOOPBACK, secrets=()))
    assert attempt == Attempt(error="secret-does-not-open")
    assert shop.received == []


def test_where_nobody_listens_or_speaks_tls_has_its_word(town: Town, receiver: Make) -> None:
    shop = receiver(hang)
    plain = town.listen(f"https://127.0.0.1:{shop.port}/")
    assert asyncio.run(_one_try(town, plain, ON_LOOPBACK)).error in ("tls", "connection", "timeout")
    shop.close()
    nobody = town.listen(shop.url)
    assert asyncio.run(_one_try(town, nobody, ON_LOOPBACK)) == Attempt(error="connection")


async def _one_try(town: Town, endpoint: Endpoint, outward: Outward, **changes: object) -> Attempt:
    sender = WebhookSender(Guard(outward), QUICK)
    told = next(one for one in town.queue().told(NOON) if one.id == endpoint.id)
    leased = Leased("dlv_1", endpoint.id, "msg_1", "webhook.test", b"{}", 1, NOON)
    try:
        return await sender.send(dataclasses.replace(told, **changes), leased)  # type: ignore[arg-type]
    finally:
        await sender.close()


def test_a_relay_that_slept_through_its_lease_sends_nothing(town: Town) -> None:
    class Never:
        async def send(self, told: Told, leased: Leased) -> Attempt:
            raise AssertionError(f"somebody else may be sending {leased.id} to {told.id}")

    endpoint = town.listen("https://hooks.example/")
    town.decide("tx1")
    queue = town.queue()
    queue.hand_on(queue.told(NOON), NOON)

    async def late() -> None:
        relay = Relay(queue, Never(), now=lambda: NOON + 40_000_000)
        (leased,) = queue.lease({endpoint.id: 1}, NOON)
        relay._free(endpoint.id)
        relay._lanes[endpoint.id].sending = 1
        await relay._try(queue.told(NOON)[0], leased)
        assert relay._tried == []
        assert relay._free(endpoint.id) == 1

    asyncio.run(late())


def test_a_database_that_goes_away_loses_nothing(town: Town, receiver: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = receiver()
    endpoint = town.listen(shop.url)
    town.decide("tx1", "tx2", "tx3")
    with town.engine.connect() as connection:
        connection.exec_driver_sql("ALTER TABLE webhook_deliveries RENAME TO moved")

    def back() -> bool:
        if town.waiting() and time.monotonic() - began > 0.3:
            with town.engine.connect() as connection:
                connection.exec_driver_sql("ALTER TABLE moved RENAME TO webhook_deliveries")
            return True
        return False

    began = time.monotonic()
    town.relay_until(back)
    town.relay_until(lambda: _states(town, endpoint).count(State.DELIVERED) == 3)
    assert len(set(shop.ids())) == 3
