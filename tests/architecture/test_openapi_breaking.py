"""The description that is kept is the one the code gives, and breaks nobody who wrote against the last tag's."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving.commands.openapi import printed
from serving.openapi import document
from serving.openapi_changes import breaking

ROOT = Path(__file__).resolve().parents[2]
KEPT = "docs/openapi.json"
CODE: dict[str, Any] = json.loads(document())


def _git(*arguments: str) -> str | None:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def test_the_kept_description_is_the_codes() -> None:
    assert (ROOT / KEPT).read_text() == printed(), f"run: fradect openapi > {KEPT}"


def test_nothing_breaks_callers_of_the_last_tag() -> None:
    tag = (_git("describe", "--tags", "--abbrev=0") or "").strip()
    if not tag:
        pytest.skip("there is no tag yet to compare the interface with")
    old = _git("show", f"{tag}:{KEPT}")
    if old is None:
        pytest.skip(f"{tag} has no {KEPT} to compare the interface with")
    assert breaking(json.loads(old), CODE) == [], f"callers of {tag} break; a new version of the path may do it"


def test_the_same_breaks_nothing() -> None:
    assert breaking(CODE, CODE) == []


Change = Callable[[dict[str, Any]], object]
SCORE, OUTCOME = "/api/v1/ecommerce/score", "/api/v1/decisions/{decision_id}/outcome"


def _schema(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"][name]
    return found


def _field(document: dict[str, Any], schema: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = _schema(document, schema)["properties"][name]
    return found


def _post(document: dict[str, Any], path: str = SCORE) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][path]["post"]
    return found


BREAKS: dict[str, tuple[Change, str]] = {
    "an operation removed": (lambda d: d["paths"].pop(SCORE), f"POST {SCORE}: removed"),
    "an operation renamed": (lambda d: _post(d).update(operationId="x"), "operationId scorePurchase became x"),
    "a field of an answer removed": (lambda d: _schema(d, "Answer")["properties"].pop("score"), "score: removed"),
    "a field of an answer optional": (lambda d: _schema(d, "Answer")["required"].remove("score"), "may be missing"),
    "an answer can be null": (
        lambda d: _field(d, "Answer", "score").update(type=["integer", "null"]),
        ".score: can be null now",
    ),
    "an answer's type": (lambda d: _field(d, "Answer", "score").update(type="string"), ".score: can be string now"),
    "an answer widened to numbers": (
        lambda d: _field(d, "Answer", "score").update(type="number"),
        ".score: can be number now",
    ),
    "a word of an answer removed": (
        lambda d: _field(d, "JobOut", "status")["enum"].remove("FAILED"),
        "'FAILED' removed",
    ),
    "a field of items": (lambda d: _schema(d, "Factor")["properties"].pop("points"), "factors[].points: removed"),
    "a field of a request removed": (
        lambda d: _schema(d, "Transaction")["properties"].pop("source"),
        "transaction.source: removed",
    ),
    "a field of a request required": (
        lambda d: _schema(d, "Transaction")["required"].append("source"),
        "transaction.source: required now",
    ),
    "a word of a request removed": (lambda d: _schema(d, "Outcome")["enum"].remove("unknown"), "'unknown' removed"),
    "null is not taken": (
        lambda d: _schema(d, "Transaction")["properties"].update(source={"type": "string"}),
        "source: null is not taken any more",
    ),
    "a shorter text": (lambda d: _field(d, "Transaction", "transaction_id").update(maxLength=64), "maxLength is 64"),
    "a pattern": (lambda d: _field(d, "Transaction", "transaction_id").update(pattern="^x"), "pattern is ^x now"),
    "a number's floor": (lambda d: _field(d, "Transaction", "amount").update(minimum=1), "minimum is 1 now"),
    "a choice of few": (lambda d: _field(d, "Transaction", "currency").update(enum=["RUB"]), "only RUB now"),
    "a parameter required": (
        lambda d: _post(d)["parameters"][0].update(required=True),
        "parameter idempotency-key: required now",
    ),
    "a parameter removed": (lambda d: _post(d)["parameters"].clear(), "parameter idempotency-key: removed"),
    "a new parameter required": (
        lambda d: _post(d)["parameters"].append({"name": "x", "in": "query", "required": True, "schema": {}}),
        "parameter x: required now",
    ),
    "a way to say who calls": (lambda d: _post(d).update(security=[{"token": []}]), "apiKey is not taken any more"),
    "a key where none was": (
        lambda d: d["paths"]["/health"]["get"].update(security=[{"token": []}]),
        "needs a key now",
    ),
    "another status": (
        lambda d: _post(d)["responses"].update({"206": _post(d)["responses"].pop("202")}),
        "answers 202 no more",
    ),
    "another media type": (
        lambda d: _post(d)["requestBody"]["content"].update(
            {"text/json": _post(d)["requestBody"]["content"].popitem()[1]}
        ),
        "application/json removed",
    ),
    "a header": (lambda d: _post(d)["responses"]["200"]["headers"].pop("RateLimit"), "header RateLimit removed"),
    "a type of problem": (lambda d: d["components"]["examples"].pop("conflict"), "problem conflict: removed"),
    "a webhook's event": (lambda d: d["webhooks"].pop("risk.decision.updated"), "risk.decision.updated: removed"),
    "a field of a message": (lambda d: _schema(d, "ToldDecision")["properties"].pop("entity_id"), "entity_id: removed"),
}
KEEPS: dict[str, Change] = {
    "a new operation": lambda d: d["paths"].update({"/api/v1/new": {"get": _post(d)}}),
    "a new field of an answer": lambda d: _schema(d, "Answer")["properties"].update(new={"type": "string"}),
    "a new word of an answer": lambda d: _field(d, "JobOut", "status")["enum"].append("PAUSED"),
    "an optional field of a request": lambda d: _schema(d, "Transaction")["properties"].update(new={"type": "string"}),
    "a request's field required no more": lambda d: _schema(d, "Transaction")["required"].remove("currency"),
    "a longer text": lambda d: _field(d, "Transaction", "transaction_id").update(maxLength=4096),
    "integers where numbers were answered": lambda d: _field(d, "Answer", "processing_time_ms").update(type="integer"),
    "null taken too": lambda d: _field(d, "Transaction", "currency").update(type=["string", "null"]),
    "an optional parameter": lambda d: _post(d)["parameters"].append({"name": "x", "in": "query", "schema": {}}),
    "another name in a path": lambda d: d["paths"].update({"/api/v1/decisions/{id}/outcome": d["paths"].pop(OUTCOME)}),
    "a new problem": lambda d: d["components"]["examples"].update(new={}),
    "other words": lambda d: _post(d).update(summary="x", description="y", tags=[]),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKS)
def test_what_breaks_callers_is_told(name: str) -> None:
    change, told = BREAKS[name]
    after = copy.deepcopy(CODE)
    change(after)
    found = breaking(CODE, after)
    assert any(told in line for line in found), found


@pytest.mark.parametrize("name", KEEPS)
def test_what_breaks_nobody_is_not(name: str) -> None:
    after = copy.deepcopy(CODE)
    KEEPS[name](after)
    assert breaking(CODE, after) == []


def test_types_that_hold_themselves_are_compared_to_an_end() -> None:
    tree = {
        "type": "object",
        "properties": {"of": {"$ref": "#/components/schemas/Factor"}, "value": {"type": "string"}},
    }
    old = copy.deepcopy(CODE)
    old["components"]["schemas"]["Factor"] = tree
    new = copy.deepcopy(old)
    new["components"]["schemas"]["Factor"]["properties"]["value"] = {"type": "integer"}
    assert any(".value: can be integer now" in line for line in breaking(old, new))


def test_the_command_says_what_breaks_and_ends_with_one(tmp_path: Path) -> None:
    old = copy.deepcopy(CODE)
    old["paths"]["/api/v0/score"] = {"post": _post(CODE)}
    (tmp_path / "old.json").write_text(json.dumps(old))
    told = subprocess.run(
        [Path(sys.executable).with_name("fradect"), "openapi", "--against", str(tmp_path / "old.json")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (told.returncode, told.stdout.splitlines()[0]) == (1, "POST /api/v0/score: removed")
