"""Idempotency as a state machine over a whole service: tenants, ids, keys and bodies in any order, also at once."""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from serving.app import create
from serving.wiring import Service
from tests.factories_decision import body
from tests.serving.conftest import SCORE, promote, settings_of

IDS, KEYS, AMOUNTS = ("a", "b", "c"), (None, "k", "m"), (1500, 1501)
ASKED = (st.sampled_from(IDS), st.sampled_from(KEYS), st.sampled_from(AMOUNTS))
TENANTS = ("demo", "other")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    for tenant in TENANTS:
        promote(home, tenant=tenant)
    return home


@pytest.fixture(scope="module")
def app(home: Path) -> Iterator[Any]:
    service = Service(settings_of(home))
    yield create(service.start())
    service.close()


class Callers(RuleBasedStateMachine):
    """`decided`: amount and answer by tenant and id; `keys`: the id that a tenant's key stands for."""

    app: Any
    secrets: dict[str, str]
    numbers = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.prefix = f"{next(self.numbers)}-"  # one service for all examples, ids of its own for each
        self.decided: dict[tuple[str, str], tuple[int, bytes]] = {}
        self.keys: dict[tuple[str, str], str] = {}

    @rule(tenant=st.sampled_from(TENANTS), asked=st.tuples(*ASKED))
    def ask(self, tenant: str, asked: tuple[str, str | None, int]) -> None:
        (response,) = self._at_once([(tenant, asked)])
        self._check(tenant, asked, response)

    @rule(tenant=st.sampled_from(TENANTS), asked=st.tuples(*ASKED), times=st.integers(2, 4))
    def repeat_at_once(self, tenant: str, asked: tuple[str, str | None, int], times: int) -> None:
        """One of them is decided; the others get the same, or are told to wait for it."""
        responses = self._at_once([(tenant, asked)] * times)
        waiting = [one for one in responses if one.status_code == 409]
        answered = [one for one in responses if one.status_code != 409]
        assert answered
        assert not waiting or asked[1] is not None
        for one in waiting:
            assert one.json()["type"] == "urn:fradect:problem:request-running"
        for one in answered:
            self._check(tenant, asked, one)

    @rule(asked=st.tuples(*ASKED))
    def both_tenants_at_once(self, asked: tuple[str, str | None, int]) -> None:
        """The same words from another tenant are another request."""
        for tenant, response in zip(TENANTS, self._at_once([(one, asked) for one in TENANTS]), strict=True):
            self._check(tenant, asked, response)

    @rule(id_=st.sampled_from(IDS), key=st.sampled_from(KEYS[1:]))
    def two_bodies_at_once(self, id_: str, key: str) -> None:
        """Of two that contradict each other one is decided at most."""
        tries = [(TENANTS[0], (id_, key, amount)) for amount in AMOUNTS]
        responses = list(zip(tries, self._at_once(tries), strict=True))
        for (tenant, asked), response in sorted(responses, key=lambda pair: pair[1].status_code):
            if response.status_code != 409:
                self._check(tenant, asked, response)

    def _check(self, tenant: str, asked: tuple[str, str | None, int], response: httpx.Response) -> None:
        id_, key, amount = asked
        stands_for = id_ if key is None else self.keys.get((tenant, key), id_)
        known = self.decided.get((tenant, stands_for))
        if known is None:
            assert response.status_code == 200, response.text
            assert response.content not in [answer for _, answer in self.decided.values()], "another's answer"
            self.decided[tenant, id_] = (amount, response.content)
            if key is not None:
                self.keys[tenant, key] = id_
        elif (stands_for, known[0]) == (id_, amount):
            assert (response.status_code, response.content) == (200, known[1])
        else:
            assert (response.status_code, response.json()["type"]) == (422, "urn:fradect:problem:different-body")

    def _at_once(self, tries: list[tuple[str, tuple[str, str | None, int]]]) -> list[httpx.Response]:
        async def ask() -> list[httpx.Response]:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await asyncio.gather(*(client.post(SCORE, **self._request(*one)) for one in tries))

        return asyncio.run(ask())

    def _request(self, tenant: str, asked: tuple[str, str | None, int]) -> dict[str, Any]:
        id_, key, amount = asked
        headers = {"X-API-Key": self.secrets[tenant]}
        if key is not None:
            headers["Idempotency-Key"] = self.prefix + key
        return {"json": body(self.prefix + id_, amount=amount), "headers": headers}


def test_idempotency(app: Any, home: Path) -> None:
    files = {tenant: home / "keys" / name for tenant, name in zip(TENANTS, ("api-key", "api-key-other"), strict=True)}
    found = {tenant: path.read_text().strip() for tenant, path in files.items()}

    class OfService(Callers):
        secrets = found

    OfService.app = staticmethod(app)
    bounded = settings(phases=[Phase.generate], max_examples=30, stateful_step_count=15)
    run_state_machine_as_test(OfService, settings=bounded)
