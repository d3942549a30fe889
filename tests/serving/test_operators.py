"""What operators look at: health, readiness, metrics, the description of the interface."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import msgspec
import pytest

from fradect.adapters.releases_folder import ReleasesFolder
from fradect.adapters.shared_sql import SqlMeasurements, open_shared
from fradect.answer import Answer
from fradect.ports import Measurement
from serving.app import Front, create
from serving.metrics import MEASURED
from serving.openapi import document
from serving.permissions import RULES
from serving.problems import TITLES
from serving.wiring import Service
from tests.factories_decision import body, purchase, toy_release
from tests.serving.conftest import Client, promote, settings_of


def test_health_and_readiness(client: Client) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    ready = client.get("/ready")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "reasons": []})


def test_without_a_release_it_lives_and_is_not_ready(tmp_path: Path) -> None:
    service = Service(settings_of(tmp_path))
    client = Client(create(service.start()), "", service)
    assert client.get("/health").status_code == 200
    ready = client.get("/ready")
    assert ready.status_code == 503
    assert ready.json()["reasons"] == ["no release decides anything yet: promote one"]
    promote(tmp_path)
    service._follow()
    assert client.get("/ready").status_code == 200
    service.close()


def test_a_damaged_champion_leaves_the_one_before_it_in_charge(client: Client, tmp_path: Path) -> None:
    first = client.post(body("tx1")).json()["release"]
    other = toy_release("ecommerce/handbook", 301)
    store = ReleasesFolder(tmp_path)
    store.save(other)
    store.promote("ecommerce", "demo", other.id)
    model = tmp_path / "releases" / other.id / "model.json"
    whole = model.read_bytes()
    model.write_bytes(whole[:-7])
    client.service._follow()
    assert client.post(body("tx2")).json()["release"] == first
    ready = client.get("/ready").json()
    assert other.id in ready["reasons"][0]
    model.write_bytes(whole)
    client.service._follow()
    assert client.post(body("tx3")).json()["release"] == other.id
    assert client.get("/ready").status_code == 200


def test_a_model_that_cannot_be_parsed_does_not_stop_the_service(client: Client, tmp_path: Path) -> None:
    """Its digests are right, so only its content is wrong: whoever made it made nonsense."""
    broken = replace(toy_release("ecommerce/handbook"), model=b'{"learner": 5}')
    store = ReleasesFolder(tmp_path)
    store.save(broken)
    store.promote("ecommerce", "demo", broken.id)
    client.service._follow()
    assert client.post(body("tx1")).status_code == 200
    assert "does not load" in client.get("/ready").json()["reasons"][0]


def test_metrics_count_decisions_repeats_and_errors(client: Client) -> None:
    client.post(body("tx1"))
    client.post(body("tx1"))
    client.post(body("tx2"))
    client.post(content=b"{")
    lines = client.get("/metrics").text.splitlines()
    counted = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}
    decided = [value for name, value in counted.items() if name.startswith("fradect_requests_total")]
    assert sum(decided) == 2
    assert counted['fradect_requests_repeated_total{module="ecommerce"}'] == 1
    assert counted['fradect_request_errors_total{type="malformed-json"}'] == 1
    assert counted['fradect_requests_duration_seconds_count{module="ecommerce"}'] == 3
    assert counted["fradect_feature_extraction_duration_seconds_count"] == 2
    assert [name for name in counted if name.startswith("fradect_model_predictions_total") and "scored" in name]
    assert counted["fradect_ready"] == 1


def test_metrics_tell_how_live_state_and_ledger_agree(client: Client) -> None:
    client.post(body("tx1"))
    client.service._reconcile()
    text = client.get("/metrics").text
    assert 'fradect_state_unconfirmed{module="ecommerce"} 0.0' in text
    assert 'fradect_state_repairs_total{kind="withdrawn",module="ecommerce"} 0.0' in text
    client.service._state.arrive(purchase("left behind"))
    client.service._state.withdraw(purchase("tx1"))
    client.service._reconcile()
    text = client.get("/metrics").text
    assert 'fradect_state_unconfirmed{module="ecommerce"} 1.0' in text
    assert 'fradect_state_repairs_total{kind="applied",module="ecommerce"} 0.0' in text, "what is confirmed stays"


def test_paths_that_nobody_serves_make_no_series(client: Client) -> None:
    before = len(client.get("/metrics").text.splitlines())
    for i in range(20):
        client.get(f"/scan/{i}")
    assert len(client.get("/metrics").text.splitlines()) <= before + 3


def test_figures_of_batch_work_reach_the_metrics(client: Client, tmp_path: Path) -> None:
    engine = open_shared(f"sqlite:///{tmp_path}/ledger.db")
    store = SqlMeasurements(engine)
    for tenant, value in (("demo", 0.1), ("other", 0.2)):
        for name in MEASURED:
            store.record(Measurement(name, {"module": "ecommerce", "tenant": tenant}, value, 1))
    engine.dispose()
    client.service._show()
    text = client.get("/metrics").text
    assert 'fradect_false_positive_rate{module="ecommerce"} 0.2' in text
    assert 'fradect_fraud_prevented_amount_total{module="ecommerce"} 0.3' in text
    assert "demo" not in text


def test_the_description_names_every_route_and_every_schema(client: Client) -> None:
    described = client.get("/openapi.json").json()
    others = {"/api/v1/ecommerce/score", "/health", "/ready", "/metrics", "/openapi.json"}
    assert set(described["paths"]) == {path for _, path in RULES if "{module}" not in path} | others
    text = json.dumps(described)
    referred = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert referred == set(described["components"]["schemas"])


def test_an_answer_is_as_described(client: Client) -> None:
    answer = client.post(body()).content
    assert msgspec.json.encode(msgspec.json.decode(answer, type=Answer)) == answer


def test_the_example_in_the_description_is_accepted(client: Client) -> None:
    score = json.loads(document())["paths"]["/api/v1/ecommerce/score"]["post"]
    response = client.post(score["requestBody"]["content"]["application/json"]["example"])
    assert response.status_code == 200


def test_problem_types_are_published_in_the_documentation(request: pytest.FixtureRequest) -> None:
    page = (request.config.rootpath / "docs" / "concepts" / "errors.md").read_text()
    assert not [name for name in TITLES if f"`urn:fradect:problem:{name}`" not in page]


def test_a_front_without_an_application_says_why() -> None:
    front = Front()

    async def ask(path: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=front), base_url="http://test") as client:
            return await client.get(path)

    assert asyncio.run(ask("/health")).status_code == 200
    assert asyncio.run(ask("/ready")).json()["status"] == "starting"
    front.fail("the ledger has its one writer already")
    ready = asyncio.run(ask("/ready"))
    assert (ready.status_code, ready.json()["status"]) == (503, "failed")
    assert "one writer" in ready.json()["reasons"][0]
    assert asyncio.run(ask("/anything")).headers["content-type"] == "application/problem+json"


def test_a_second_service_over_one_home_is_refused(served: Callable[[], Client], tmp_path: Path) -> None:
    served()
    with pytest.raises(Exception, match="one writer"):
        Service(settings_of(tmp_path))
