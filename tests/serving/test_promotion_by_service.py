"""A release is moved on by what a running service decided: from the shadow to a share of the customers, and back."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flows.rollout import look, roll_back
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.moves import Act, step
from fradect.policy import Guardrails, Limits, Stages
from fradect.release import Release
from fradect.rollout import Rollout, named, shadowed
from serving.app import create
from serving.wiring import Service
from tests.factories_decision import body, toy_release
from tests.serving.conftest import Client, settings_of

OF = ("ecommerce", "demo")
ANN = Act("ann", "a test")
EVENTS = 60
LIMITS = Limits(
    guardrails=Guardrails(least_decisions=20, disagreement=0.5),
    stages=Stages(shares=(9_900,), shadow_pairs=EVENTS, canary_decisions=30, hours=0.0, labels=False),
)


def _release(review: int) -> Release:
    plain = toy_release("ecommerce/handbook", review)
    return replace(plain, policy=replace(plain.policy, limits=LIMITS))


FIRST, SECOND = _release(300), _release(310)


@pytest.fixture
def running(home: Path) -> Iterator[Client]:
    """With FIRST as champion and SECOND in the shadow."""
    store = ReleasesFolder(home)
    for release in (FIRST, SECOND):
        store.save(release)
    now = named(None, FIRST.id, step("named", ANN))
    store.move(*OF, now)
    store.move(*OF, shadowed(now, SECOND.id, step("shadow", ANN)))
    service = Service(settings_of(home))
    app = create(service.start())
    yield Client(app, (home / "keys" / "api-key").read_text().strip(), service)
    service.close()


def _decided(client: Client, name: str) -> set[str]:
    """The releases that decided."""
    answers = [client.post(body(f"{name}-{n}", customer_id=f"c{n}")).json() for n in range(EVENTS)]
    return {answer["release"] for answer in answers}


def test_what_the_service_decides_moves_its_challenger(running: Client, home: Path) -> None:
    assert _decided(running, "shadow") == {FIRST.id}
    running.service.close()
    widened = look(*OF, SECOND.id)
    assert widened.move == "widen", widened.reason

    again = Service(settings_of(home))
    client = Client(create(again.start()), running.key, again)
    try:
        assert SECOND.id in _decided(client, "canary")
    finally:
        again.close()
    on_canary = look(*OF, SECOND.id)
    assert on_canary.move == "promote", on_canary.reason
    now: Rollout = roll_back(*OF, ANN)
    assert now.release == FIRST.id
