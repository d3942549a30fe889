"""From outbox to deliveries and leases, on both databases: nothing twice at once, nothing lost, nothing for ever."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from fradect.adapters.tables import outbox
from fradect.adapters.vault import HomeVault
from fradect.adapters.webhook_endpoints import SqlEndpoints
from fradect.adapters.webhook_queue import LEASE, Kept, Leased, Told, Tried, WebhookQueue
from fradect.adapters.webhook_tables import webhook_deliveries, webhook_endpoints
from fradect.deliveries import CREATED, UPDATED, Attempt, Endpoint, State, Why, fate
from fradect.errors import NotFound, Refused
from fradect.types import DAY, HOUR, MINUTE
from tests.factories_decision import NOON
from tests.factories_webhooks import Town

URL = "https://hooks.example/fradect"
FINE, BROKEN, GONE = Attempt(200), Attempt(500, "status"), Attempt(410, "status")


@pytest.fixture
def town(ledger_url: str, tmp_path: Path) -> Iterator[Town]:
    held = Town(ledger_url, tmp_path)
    yield held
    held.close()


def _hand_on(queue: WebhookQueue, now: int = NOON) -> list[Told]:
    while queue.hand_on(queue.told(now), now)[0]:
        pass
    return queue.told(now)


def _settle(queue: WebhookQueue, leased: list[Leased], attempt: Attempt, now: int = NOON) -> None:
    queue.settle([Tried(one, attempt, fate(attempt, one.attempts, now, 0.0), now) for one in leased])


def test_what_happened_becomes_one_delivery_for_each_who_is_told_of_it(town: Town) -> None:
    both, updates = town.listen(URL), town.listen(URL, UPDATED)
    elsewhere = town.listen(URL, tenant="other")
    town.decide("tx1", "tx2")
    town.decide("tx3", tenant="other")
    queue = town.queue()
    _hand_on(queue)
    assert [one.state for one in town.told_of(both)] == [State.WAITING] * 2
    assert town.told_of(updates) == []
    (told,) = town.told_of(elsewhere)
    (leased,) = queue.lease({elsewhere.id: 9}, NOON)
    assert (leased.id, leased.event, leased.attempts) == (told.id, CREATED, 1)
    body = json.loads(leased.body)
    assert body["event"] == CREATED
    assert body["data"] == {
        "decision_id": "dec_tx3",
        "entity_type": "transaction",
        "entity_id": "tx3",
        "score": 640,
        "decision": "REVIEW",
    }
    assert body["timestamp"] == "2023-11-15T12:00:00Z"
    assert town.waiting() == 0


def test_one_message_has_one_id_for_everybody(town: Town) -> None:
    one, other = town.listen(URL), town.listen(URL)
    town.decide("tx1")
    _hand_on(town.queue())
    assert town.told_of(one)[0].message_id == town.told_of(other)[0].message_id
    assert town.told_of(one)[0].id != town.told_of(other)[0].id


def test_nobody_is_told_of_what_was_before_it_registered_or_while_it_was_disabled(town: Town) -> None:
    town.decide(*[f"tx{n}" for n in range(300)])
    endpoint = town.endpoints.register(Endpoint("", "demo", URL, (CREATED,), "", NOON + 1), "whsec_" + "A" * 40)
    assert _hand_on(town.queue()) != []
    assert town.told_of(endpoint) == []
    assert town.waiting() == 0
    early = town.listen(URL)
    town.endpoints.disable("demo", early.id, NOON)
    town.endpoints.enable("demo", early.id, NOON + 5)
    town.decide("tx-while-disabled")
    _hand_on(town.queue())
    assert town.told_of(early) == []


def test_a_lease_is_one_relays_alone_until_it_ends_and_then_anothers(town: Town) -> None:
    endpoint = town.listen(URL)
    town.decide("tx1")
    first, second = town.queue(), town.queue()
    _hand_on(first)
    (mine,) = first.lease({endpoint.id: 5}, NOON)
    assert second.lease({endpoint.id: 5}, NOON + LEASE - 1) == []
    assert not second.told(NOON + LEASE - 1)[0].is_due
    (theirs,) = second.lease({endpoint.id: 5}, NOON + LEASE)
    assert (theirs.id, theirs.attempts) == (mine.id, 2)
    _settle(first, [mine], FINE)
    assert town.told_of(endpoint)[0].state == State.WAITING, "who slept through its lease has no say any more"
    _settle(second, [theirs], FINE)
    assert town.told_of(endpoint)[0].state == State.DELIVERED


def test_many_relays_at_once_share_the_work_and_nothing_is_taken_twice(town: Town) -> None:
    endpoint = town.listen(URL)
    town.decide(*[f"tx{n}" for n in range(60)])
    taken: list[str] = []

    def relay() -> None:
        queue = town.queue()
        _hand_on(queue)
        while leased := queue.lease({endpoint.id: 7}, NOON + MINUTE // 2):
            taken.extend(one.id for one in leased)

    threads = [threading.Thread(target=relay) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(town.told_of(endpoint)) == 60, "each row of the outbox was handed on once"
    assert sorted(taken) == sorted(one.id for one in town.told_of(endpoint))


def test_the_longest_due_go_first_and_the_failed_wait(town: Town) -> None:
    endpoint = town.listen(URL)
    town.decide("tx1")
    queue = town.queue()
    _hand_on(queue)
    _settle(queue, queue.lease({endpoint.id: 1}, NOON), Attempt(503, "status", 30))
    (held,) = town.told_of(endpoint)
    assert (held.state, held.attempts, held.last_status, held.due_at) == (State.WAITING, 1, 503, NOON + MINUTE // 2)
    assert queue.lease({endpoint.id: 1}, NOON + MINUTE // 2 - 1) == []
    town.decide("tx2")
    _hand_on(queue, NOON + 10)
    found = queue.lease({endpoint.id: 5}, NOON + MINUTE // 2)
    assert len(found) == 2
    assert town.endpoints.shown("demo", endpoint.id).failing_since == NOON
    _settle(queue, found, FINE, NOON + MINUTE)
    assert town.endpoints.shown("demo", endpoint.id).failing_since is None


def test_410_disables_the_endpoint_and_ends_all_that_waits_for_it(town: Town) -> None:
    gone, fine = town.listen(URL), town.listen(URL)
    town.decide("tx1", "tx2")
    queue = town.queue()
    _hand_on(queue)
    _settle(queue, queue.lease({gone.id: 1}, NOON), GONE)
    shown = town.endpoints.shown("demo", gone.id)
    assert (shown.disabled_why, shown.disabled_at) == (Why.GONE, NOON)
    assert {one.state for one in town.told_of(gone)} == {State.DEAD}
    assert {one.last_error for one in town.told_of(gone)} == {"status", "endpoint-disabled"}
    assert {one.state for one in town.told_of(fine)} == {State.WAITING}
    assert [one.id for one in queue.told(NOON)] == [fine.id]


def test_five_days_of_failures_disable_it_and_one_success_forgives(town: Town) -> None:
    endpoint = town.listen(URL)
    queue, now = town.queue(), NOON
    for day in range(6):
        town.decide(f"tx{day}")
        _hand_on(queue, now)
        _settle(queue, queue.lease({endpoint.id: 1}, now), FINE if day == 0 else BROKEN, now)
        assert town.endpoints.shown("demo", endpoint.id).disabled_at is None, day
        now += DAY
    town.decide("last")
    _hand_on(queue, now)
    _settle(queue, queue.lease({endpoint.id: 1}, now), BROKEN, now)
    shown = town.endpoints.shown("demo", endpoint.id)
    assert (shown.disabled_why, shown.failing_since) == (Why.FAILING, NOON + DAY)


def test_after_the_last_try_it_is_a_dead_letter_that_can_be_replayed(town: Town) -> None:
    endpoint = town.listen(URL)
    town.decide("tx1")
    queue, now = town.queue(), NOON
    _hand_on(queue)
    while leased := queue.lease({endpoint.id: 1}, now):
        _settle(queue, leased, BROKEN, now)
        now = town.told_of(endpoint)[0].due_at
    (dead,) = town.told_of(endpoint, state=State.DEAD)
    assert dead.attempts == 10
    assert 3 * DAY < now - NOON < 4 * DAY
    again = town.deliveries.replay("demo", endpoint.id, dead.id, now)
    assert (again.state, again.attempts, again.message_id) == (State.WAITING, 0, dead.message_id)
    with pytest.raises(Refused):
        town.deliveries.replay("demo", endpoint.id, dead.id, now)
    _settle(queue, queue.lease({endpoint.id: 1}, now), FINE, now)
    assert town.told_of(endpoint)[0].state == State.DELIVERED


def test_what_is_deleted_while_it_is_handed_on_leaves_no_orphan(town: Town) -> None:
    endpoint, other = town.listen(URL), town.listen(URL)
    town.decide("tx1")
    queue = town.queue()
    told = queue.told(NOON)
    town.endpoints.delete("demo", endpoint.id)
    town.endpoints.disable("demo", other.id, NOON)
    assert queue.hand_on(told, NOON) == (1, set())
    with town.engine.connect() as connection:
        assert connection.execute(sa.select(webhook_deliveries.c.id)).all() == []


def test_old_things_are_forgotten_and_what_waits_is_not(town: Town) -> None:
    endpoint = town.listen(URL)
    town.decide("fine", "broken", "waits")
    queue = WebhookQueue(town.engine, town.vault, Kept(HOUR, DAY, 30 * DAY))
    _hand_on(queue)
    _settle(queue, queue.lease({endpoint.id: 1}, NOON), FINE)
    (lost,) = queue.lease({endpoint.id: 1}, NOON)
    queue.settle([Tried(lost, BROKEN, fate(BROKEN, 10, NOON, 0.0), NOON)])
    town.decide("new")
    assert queue.prune(NOON + HOUR, is_wanted=True) == 0
    assert queue.prune(NOON + HOUR + 1, is_wanted=True) == 3, "the outbox, but for what was not handed on"
    assert queue.prune(NOON + DAY + 1, is_wanted=True) == 1, "what was delivered a day ago"
    assert queue.prune(NOON + 30 * DAY + 1, is_wanted=True) == 1, "dead letters of a month ago"
    assert [one.state for one in town.told_of(endpoint)] == [State.WAITING]
    assert town.waiting() == 1
    assert queue.prune(NOON + 30 * DAY + 1, is_wanted=False) == 1, "nobody is told any more"


def test_without_anybody_to_tell_nothing_is_marked_and_the_outbox_stays_small(town: Town) -> None:
    town.decide(*[f"tx{n}" for n in range(20)])
    queue = town.queue()
    assert not queue.is_wanted()
    assert queue.hand_on([], NOON) == (0, set())
    assert queue.prune(NOON + HOUR, is_wanted=False) == 0
    assert town.waiting() == 20
    assert queue.prune(NOON + HOUR + 1, is_wanted=False) == 20
    assert town.waiting() == 0


def test_secrets_are_sealed_in_the_table_and_both_sign_while_they_overlap(town: Town) -> None:
    old, new = "whsec_" + "A" * 40, "whsec_" + "B" * 40
    endpoint = town.listen(URL, secret=old)
    queue = town.queue()
    assert queue.told(NOON)[0].secrets == (old,)
    town.endpoints.rotate("demo", endpoint.id, new, NOON + HOUR)
    assert queue.told(NOON)[0].secrets == (new, old)
    assert queue.told(NOON + HOUR)[0].secrets == (new,)
    with town.engine.connect() as connection:
        stored = repr(connection.execute(sa.select(webhook_endpoints)).all())
    assert "whsec_" not in stored
    assert "A" * 20 not in stored


def test_secrets_of_another_home_stop_nobody_else(town: Town, tmp_path: Path) -> None:
    mine = town.listen(URL)
    sealed_elsewhere = SqlEndpoints(town.engine, HomeVault(tmp_path / "other"))
    other = sealed_elsewhere.register(mine, "whsec_" + "A" * 40)
    found = {one.id: one.secrets for one in town.queue().told(NOON)}
    assert found[other.id] == ()
    assert len(found[mine.id]) == 1


def test_a_test_goes_to_whoever_asks_whatever_it_listens_to(town: Town) -> None:
    endpoint = town.listen(URL, UPDATED)
    made = town.deliveries.test("demo", endpoint.id, NOON)
    (leased,) = town.queue().lease({endpoint.id: 1}, NOON)
    assert (leased.id, leased.event) == (made.id, "webhook.test")
    assert json.loads(leased.body)["data"] == {"webhook_id": endpoint.id}
    town.endpoints.disable("demo", endpoint.id, NOON)
    with pytest.raises(Refused, match="disabled"):
        town.deliveries.test("demo", endpoint.id, NOON)
    with pytest.raises(Refused, match="disabled"):
        town.deliveries.replay("demo", endpoint.id, made.id, NOON)


def test_what_is_another_tenants_is_not_there(town: Town) -> None:
    endpoint = town.listen(URL)
    made = town.deliveries.test("demo", endpoint.id, NOON)
    asked: tuple[Callable[[], object], ...] = (
        lambda: town.endpoints.shown("other", endpoint.id),
        lambda: town.endpoints.rotate("other", endpoint.id, "whsec_" + "A" * 40, 1),
        lambda: town.endpoints.disable("other", endpoint.id, 1),
        lambda: town.endpoints.enable("other", endpoint.id, 1),
        lambda: town.endpoints.delete("other", endpoint.id),
        lambda: town.deliveries.test("other", endpoint.id, 1),
        lambda: town.deliveries.replay("other", endpoint.id, made.id, 1),
    )
    for ask in asked:
        with pytest.raises(NotFound):
            ask()
    with pytest.raises(NotFound):
        town.told_of(Endpoint(endpoint.id, "other", URL, (), "", 1))
    assert town.endpoints.listed("other") == []


def test_a_tenant_has_sixteen_at_most(town: Town) -> None:
    for _ in range(16):
        town.listen(URL)
    with pytest.raises(Refused, match="16"):
        town.listen(URL)
    town.listen(URL, tenant="other")


def test_the_outbox_is_found_by_its_index(town: Town) -> None:
    if town.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL reads a small table whole, whatever there is")
    with town.engine.connect() as connection:
        asked = sa.select(outbox.c.id).where(outbox.c.delivered_at.is_(None)).order_by(outbox.c.id).limit(5)
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked.compile(compile_kwargs={'literal_binds': True})}")
        assert "outbox_waiting" in str(plan.all())
