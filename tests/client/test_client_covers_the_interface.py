"""The client has every operation of the description, sends what it describes, and reads all that it answers."""

import ast
import asyncio
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import httpx
import jsonschema
import msgspec
import pytest

from fradect_client import (
    Address,
    AsyncClient,
    Card,
    Client,
    Customer,
    Device,
    Filter,
    Transaction,
    calls,
    profiles,
    releases,
    types,
)
from fradect_client import client as synchronous
from serving.openapi import document

SOURCES = Path(calls.__file__).parent
DESCRIBED: dict[str, Any] = json.loads(document())
SCHEMAS: dict[str, Any] = DESCRIBED["components"]["schemas"]
WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)
PURCHASE = Transaction(
    transaction_id="t",
    amount=Decimal("1999.90"),
    currency="RUB",
    customer_id="c",
    merchant_id="m",
    event_time=WHEN,
    payment_method="card",
    source="shop",
    device=Device(id="d", ip="192.0.2.1", ip_country="RU", browser="firefox"),
    card=Card(token="k", country="RU"),
    shipping_address=Address(country="RU", text="1 Garden Street"),
    customer=Customer(email="ada@example.org", phone="+7", full_name="Ada", signup_at=WHEN),
)
CHOSEN = Filter("ecommerce", "REVIEW", WHEN, WHEN, "none", 1, 999, "c", "rel_1", degraded=True)
Use = Callable[[Client], Any]

SECRET = f"whsec_{'0' * 32}"
RELEASE = "rel_0123456789abcdef"

USES: dict[str, tuple[Use, Any]] = {
    "scorePurchase": (lambda c: c.score(PURCHASE, channel="web", idempotency_key="k"), types.Answer),
    "scoreBatch": (lambda c: c.batch.submit([PURCHASE], include_factors=True), types.Job),
    "uploadBatch": (lambda c: c.batch.upload(b"{}", file_format="ndjson"), types.Upload),
    "deleteUpload": (lambda c: c.batch.delete_upload("upl_1"), None),
    "listBatches": (lambda c: c.batch.jobs(limit=1, before="job_1"), types.JobPage),
    "showBatch": (lambda c: c.batch.get("job_1"), types.Job),
    "cancelBatch": (lambda c: c.batch.cancel("job_1"), types.Job),
    "batchResult": (lambda c: list(c.batch.results("job_1")), types.RowResult),
    "listDecisions": (lambda c: c.decisions.list(CHOSEN, limit=1, cursor="x"), types.DecisionPage),
    "showDecision": (lambda c: c.decisions.get("dec_1"), types.Decision),
    "tellOutcome": (lambda c: c.decisions.tell_outcome("dec_1", "unknown", known_at=WHEN, note="n"), types.Standing),
    "showRiskProfile": (lambda c: c.customers.risk_profile("c"), profiles.RiskProfile),
    "exportCustomer": (lambda c: c.customers.export("c", limit=1, cursor="x"), profiles.CustomerExport),
    "eraseCustomer": (lambda c: c.customers.delete("c"), profiles.Receipt),
    "registerWebhook": (
        lambda c: c.webhooks.register("https://x.example", ["risk.decision.created"], secret=SECRET, description="d"),
        types.WebhookWithSecret,
    ),
    "listWebhooks": (lambda c: c.webhooks.list(), types.Webhooks),
    "showWebhook": (lambda c: c.webhooks.get("wh_1"), types.Webhook),
    "deleteWebhook": (lambda c: c.webhooks.delete("wh_1"), None),
    "rotateWebhookSecret": (lambda c: c.webhooks.rotate_secret("wh_1", secret=SECRET), types.WebhookWithSecret),
    "disableWebhook": (lambda c: c.webhooks.disable("wh_1"), types.Webhook),
    "enableWebhook": (lambda c: c.webhooks.enable("wh_1"), types.Webhook),
    "testWebhook": (lambda c: c.webhooks.test("wh_1"), types.Delivery),
    "listWebhookDeliveries": (
        lambda c: c.webhooks.deliveries("wh_1", state="dead", limit=1, before="dlv_0123456789abcdef0"),
        types.DeliveryPage,
    ),
    "replayWebhookDelivery": (lambda c: c.webhooks.replay("wh_1", "dlv_1"), types.Delivery),
    "showRollout": (lambda c: c.releases.rollout(), releases.Rollout),
    "listRollouts": (lambda c: c.releases.list(limit=1, before=9), releases.RolloutPage),
    "rollBack": (lambda c: c.releases.roll_back("why", release=RELEASE), releases.Rollout),
    "sayToProposal": (lambda c: c.releases.approval(RELEASE, "why", evidence="0" * 64), releases.Rollout),
    "health": (lambda c: c.health(), types.Health),
    "ready": (lambda c: c.ready(), types.Readiness),
    "metrics": (lambda c: c.metrics(), None),
    "openapi": (lambda c: c.openapi(), None),
}
"""Every operation: how it is asked for with all there is to say, and what its answer is read as."""
LEFT_OUT = {"deleteBatch"}  # the same as cancelBatch


def _operations() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    for path, operations in DESCRIBED["paths"].items():
        for method, operation in operations.items():
            yield operation["operationId"], method.upper(), path, operation


OPERATIONS = {name: (method, path, operation) for name, method, path, operation in _operations()}


def _answered(operation: dict[str, Any]) -> httpx.Response:
    """The example of the description, with a field that a later service might add."""
    status, response = next((int(s), r) for s, r in operation["responses"].items() if s[0] == "2")
    (kind, media), *_ = response.get("content", {"": {}}).items()
    if kind == "application/x-ndjson":
        answer = DESCRIBED["paths"]["/api/v1/ecommerce/score"]["post"]["responses"]["200"]["content"]
        row = {"row": 1, "transaction_id": "t", "answer": answer["application/json"]["example"]}
        return httpx.Response(status, text=json.dumps(row) + "\n")
    if kind == "text/plain":
        return httpx.Response(status, text=media["example"])
    example = media.get("example", {})
    return httpx.Response(status, json={**example, "of_tomorrow": 1}) if kind else httpx.Response(status)


def test_there_is_a_method_for_every_operation_and_no_other() -> None:
    assert set(USES) == set(OPERATIONS) - LEFT_OUT


@pytest.mark.parametrize("name", USES)
def test_what_is_sent_is_what_is_described(name: str) -> None:
    method, path, operation = OPERATIONS[name]
    asked: list[httpx.Request] = []

    def taken(request: httpx.Request) -> httpx.Response:
        request.read()
        asked.append(request)
        return _answered(operation)

    with Client("http://x", api_key="k", transport=httpx.MockTransport(taken)) as client:
        USES[name][0](client)
    (request,) = asked
    assert request.method == method
    assert re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), request.url.path)
    _check_parameters(operation, request)
    if "requestBody" not in operation:
        assert not request.content
        return
    kind = request.headers["content-type"]
    schema = operation["requestBody"]["content"][kind]["schema"]
    if kind == "application/json":
        held = {**schema, "components": DESCRIBED["components"]}
        sent = json.loads(request.content)
        jsonschema.Draft202012Validator(held).validate(sent)
        _check_whole(name, sent, schema)


def _check_parameters(operation: dict[str, Any], request: httpx.Request) -> None:
    """All that there are, each with a value that fits."""
    described = {one["name"]: one for one in operation.get("parameters", ()) if one["in"] == "query"}
    assert set(request.url.params) == set(described)
    for name, text in request.url.params.items():
        schema = described[name]["schema"]
        value = json.loads(text) if schema["type"] in ("integer", "boolean") else text
        jsonschema.Draft202012Validator(schema).validate(value)
    if any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", ())):
        assert request.headers["idempotency-key"]


def _check_whole(name: str, sent: Any, schema: dict[str, Any]) -> None:
    """Whatever can be said was said, so that nothing that is described cannot be sent."""
    known = SCHEMAS[schema["$ref"].rpartition("/")[2]]["properties"] if "$ref" in schema else {}
    apart = {"scorePurchase": {"options.async"}, "scoreBatch": {"upload_id", "module"}}.get(name, set())
    for field, its in known.items():
        if field not in apart:
            assert field in sent, f"the client cannot send {field}"
            if "$ref" in its and isinstance(sent[field], dict):
                inner = SCHEMAS[its["$ref"].rpartition("/")[2]].get("properties", {})
                missing = {f"{field}.{one}" for one in inner} - {f"{field}.{one}" for one in sent[field]} - apart
                assert not missing, "the client cannot send these"


@pytest.mark.parametrize("name", [name for name in USES if USES[name][1] is not None])
def test_what_is_read_is_what_is_answered(name: str) -> None:
    responses = OPERATIONS[name][2]["responses"]
    (_, response), *_ = ((s, r) for s, r in responses.items() if s[0] == "2")
    (media, *_) = response["content"].values()
    (read,), components = msgspec.json.schema_components([USES[name][1]], ref_template="{name}")
    for schema in media["schema"].get("oneOf", [media["schema"]]):
        _compare(name, schema, read, components)


def _compare(where: str, theirs: dict[str, Any], ours: dict[str, Any], known: dict[str, Any]) -> None:
    """Every field that is answered is there for the client's user, and of the same kind."""
    theirs = SCHEMAS[theirs["$ref"].rpartition("/")[2]] if "$ref" in theirs else theirs
    ours = known[ours["$ref"]] if "$ref" in ours else ours
    if "anyOf" in theirs:
        kinds = {one.get("type") for one in ours["anyOf"]}
        assert {_type(one) for one in theirs["anyOf"]} <= {_type(one, known) for one in ours["anyOf"]} | kinds, where
        whole = [[one for one in side if "$ref" in one] for side in (theirs["anyOf"], ours["anyOf"])]
        for their_one, our_one in zip(*whole, strict=True):
            _compare(where, their_one, our_one, known)
        return
    if "anyOf" in ours:  # the client allows for what this kind of answer always has
        ours = next(one for one in ours["anyOf"] if _type(one, known) == _type(theirs))
        ours = known[ours["$ref"]] if "$ref" in ours else ours
    assert _type(theirs) == _type(ours, known), where
    if "properties" in theirs:
        optional = {"problem", "answer", "transaction_id"} if "row" in theirs["properties"] else set()
        assert set(theirs["properties"]) | optional == set(ours["properties"]) | optional, where
        for field, its in theirs["properties"].items():
            _compare(f"{where}.{field}", its, ours["properties"][field], known)
    if "items" in theirs:
        _compare(f"{where}[]", theirs["items"], ours["items"], known)


def _type(schema: dict[str, Any], known: dict[str, Any] | None = None) -> str:
    if "$ref" in schema:
        return _type(known[schema["$ref"]] if known else SCHEMAS[schema["$ref"].rpartition("/")[2]])
    return str(schema.get("type", "string" if "enum" in schema else "any"))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (types.Outcome, SCHEMAS["Outcome"]),
        (types.EventName, SCHEMAS["WebhookRequest"]["properties"]["events"]["items"]),
        (types.FileFormat, SCHEMAS["Format"]),
        (types.DeliveryState, SCHEMAS["DeliveryOut"]["properties"]["state"]),
    ],
)
def test_words_that_are_sent_are_those_that_are_taken(ours: Any, theirs: dict[str, Any]) -> None:
    assert set(get_args(ours)) == set(theirs["enum"])


def test_words_of_parameters_are_those_that_are_taken() -> None:
    filters = {one["name"]: one["schema"] for one in OPERATIONS["listDecisions"][2]["parameters"]}
    assert set(get_args(types.DecisionName)) == set(filters["decision"]["enum"])
    assert set(get_args(types.OutcomeFilter)) == set(filters["outcome"]["enum"])
    result = {one["name"]: one["schema"] for one in OPERATIONS["batchResult"][2]["parameters"]}
    assert set(get_args(types.ResultFormat)) == set(result["format"]["enum"])


def _methods(of: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(one)
        for name, one in inspect.getmembers(of, inspect.isfunction)
        if not name.startswith("_")
    }


def test_both_clients_have_the_same_methods() -> None:
    pairs: list[tuple[Any, Any]] = [(Client, AsyncClient)]
    asynchronous = sys.modules["fradect_client.aio"]
    pairs += [
        (getattr(synchronous, n), getattr(asynchronous, n)) for n in ("Decisions", "Batch", "Customers", "Webhooks")
    ]
    for one, other in pairs:
        ours, theirs = _methods(one), _methods(other)
        theirs["close"] = theirs.pop("aclose", inspect.Signature())
        ours.setdefault("close", inspect.Signature())
        assert set(ours) == set(theirs)
        for name, signature in ours.items():
            assert signature.parameters == theirs[name].parameters, name
            if "Iterator" not in str(signature.return_annotation):
                assert signature.return_annotation == theirs[name].return_annotation, name


def test_a_purchase_that_is_put_off_is_a_job() -> None:
    asked: list[Any] = []

    def taken(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content)["options"])
        return httpx.Response(
            202, json=OPERATIONS["showBatch"][2]["responses"]["200"]["content"]["application/json"]["example"]
        )

    async def asking() -> types.Job:
        async with AsyncClient("http://x", api_key="k", transport=httpx.MockTransport(taken)) as client:
            return await client.score_later(PURCHASE)

    with Client("http://x", api_key="k", transport=httpx.MockTransport(taken)) as client:
        assert client.score_later(PURCHASE) == asyncio.run(asking())
    assert asked == [{"include_factors": True, "async": True}] * 2


def test_the_client_stands_on_nothing_of_the_services() -> None:
    allowed = {*sys.stdlib_module_names, "httpx", "msgspec", "fradect_client"}
    for path in SOURCES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= allowed, path
    assert (SOURCES / "py.typed").is_file()
