"""The champion is swapped while it decides: nothing is dropped, and each decision is wholly one release's."""

import asyncio
import struct
import threading
from dataclasses import replace
from pathlib import Path

import httpx
import msgspec
import sqlalchemy as sa

from fradect.adapters.database import open_database
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.adapters.tables import risk_decisions
from fradect.judgement import judge, load
from fradect.scoring import Calibrator
from fradect.types import Vector
from tests.factories_decision import body, purchase, toy_release
from tests.serving.conftest import SCORE, Client

ONE = toy_release("ecommerce/handbook")
OTHER = replace(ONE, calibrator=Calibrator(0.5, 1.5))
CLIENTS, SWAPS = 8, 40


def _swap(client: Client, home: Path, stop: threading.Event) -> int:
    store = ReleasesFolder(home)
    for release in (ONE, OTHER):
        store.save(release)
    for i in range(SWAPS):
        store.promote("ecommerce", "demo", (OTHER, ONE)[i % 2].id)
        client.service._follow()
    stop.set()
    return SWAPS


async def _ask(client: Client, number: int, stop: threading.Event) -> list[httpx.Response]:
    answers = []
    headers = {"X-API-Key": client.key}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=client.app), base_url="http://test") as http:
        while not stop.is_set():
            asked = body(f"tx{number}-{len(answers)}", customer_id=f"c{len(answers) % 5}")
            answers.append(await http.post(SCORE, json=asked, headers=headers))
    return answers


async def _both(client: Client, home: Path) -> list[httpx.Response]:
    stop = threading.Event()
    swapping = asyncio.to_thread(_swap, client, home, stop)
    *asked, swaps = await asyncio.gather(*(_ask(client, i, stop) for i in range(CLIENTS)), swapping)
    assert swaps == SWAPS
    return [answer for answers in asked for answer in answers]


def test_every_decision_is_exactly_one_of_the_two(client: Client, tmp_path: Path) -> None:
    client.service._housekeeping.stop()  # one thread refreshes, and here it is the test's
    answers = asyncio.run(_both(client, tmp_path))
    assert {answer.status_code for answer in answers} == {200}
    loaded = {release.id: load(release) for release in (ONE, OTHER)}
    assert {answer.json()["release"] for answer in answers} == set(loaded), "both decided, and nobody else"
    engine = open_database(f"sqlite:///{tmp_path}/ledger.db")
    with engine.connect() as connection:
        rows = connection.execute(sa.select(risk_decisions)).all()
    engine.dispose()
    assert len(rows) == len(answers)
    for row in rows:
        release = loaded[row.model_version]
        values = struct.unpack(f"<{len(release.contract.names)}d", row.vector)
        vector = Vector(release.contract.names, values, msgspec.json.decode(row.missing))
        again = judge(release, purchase(amount=150_000, amount_base=150_000), vector, (), explain=False)
        assert (row.score, row.probability) == (again.score, again.probability)
        assert msgspec.json.decode(row.answer)["release"] == row.model_version
