"""The description is whole: every route, every problem, words for everything, and examples that are true to it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fradect.errors import FradectError
from serving.openapi import document
from serving.openapi_whole import TAGS
from serving.permissions import RULES
from serving.problem_types import PROBLEM_TYPES, URN
from serving.problems import MEDIA_TYPE, TITLES
from serving.routes import READERS

DESCRIBED: dict[str, Any] = json.loads(document())
SCHEMAS = DESCRIBED["components"]["schemas"]
ROOT = Path(__file__).resolve().parents[2]


def _operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in ("paths", "webhooks"):
        for path, operations in DESCRIBED[kind].items():
            for method, operation in operations.items():
                yield f"{method.upper()} {path}", operation


def _contents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every body with a schema: where, and its media type object."""
    for where, operation in _operations():
        for kind, media in operation.get("requestBody", {}).get("content", {}).items():
            yield f"{where} takes {kind}", media
        for status, response in operation["responses"].items():
            for kind, media in response.get("content", {}).items():
                yield f"{where} {status} {kind}", media


def _resolved(node: Any) -> Any:
    """References into the document, for a validator that holds one schema at a time."""
    return {**node, "components": DESCRIBED["components"]}


def test_every_route_is_described_and_nothing_else() -> None:
    routes = set()
    for method, path in RULES:
        for module in READERS if "{module}" in path else ("",):
            routes.add((method, path.replace("{module}", module)))
    described = {(method.upper(), path) for path, all_ in DESCRIBED["paths"].items() for method in all_}
    assert described == routes


def test_operations_have_names_of_their_own_tags_and_words() -> None:
    names = [operation["operationId"] for _, operation in _operations()]
    assert len(set(names)) == len(names)
    for where, operation in _operations():
        assert operation["summary"], where
        if where.partition(" ")[2] in DESCRIBED["paths"]:
            assert operation["tags"][0] in TAGS, where
        for parameter in operation.get("parameters", ()):
            told = parameter.get("description")
            assert told, f"{where}: say in serving/openapi_words.py what the parameter {parameter['name']} means"


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_field_is_explained(name: str) -> None:
    schema = SCHEMAS[name]
    assert schema.get("description"), f"give the type {name} a docstring"
    dumb = [field for field, its in schema.get("properties", {}).items() if not its.get("description")]
    assert not dumb, f"say in serving/openapi_words.py what these fields of {name} mean"


def test_every_reference_leads_somewhere() -> None:
    for kind, name in re.findall(r'"\$ref": "#/components/(\w+)/([^"]+)"', json.dumps(DESCRIBED)):
        assert name in DESCRIBED["components"][kind]


def test_the_document_is_openapi_3_1() -> None:
    assert DESCRIBED["openapi"].startswith("3.1")
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(("where", "media"), [pytest.param(*one, id=one[0]) for one in _contents()])
def test_every_body_has_an_example_that_is_valid(where: str, media: dict[str, Any]) -> None:
    if media["schema"].get("format") == "binary" or "openapi.json" in where or "ndjson" in where:
        return
    named = media.get("examples", {}).values()
    examples = [DESCRIBED["components"]["examples"][one["$ref"].rpartition("/")[2]]["value"] for one in named]
    examples += [media["example"]] if "example" in media else []
    assert examples, f"{where}: give one in serving/openapi_examples.py"
    check = jsonschema.Draft202012Validator(_resolved(media["schema"]), format_checker=jsonschema.FormatChecker())
    for example in examples:
        check.validate(example)


def test_examples_show_every_field() -> None:
    """An example that leaves out what is required would not be valid; one that has more than there is, neither."""
    for where, media in _contents():
        name = media["schema"].get("$ref", "").rpartition("/")[2]
        if name and "example" in media and not where.startswith("POST /api/v1/ecommerce/score takes"):
            assert set(media["example"]) <= set(SCHEMAS[name]["properties"]), where


def _kinds(kind: type[FradectError]) -> Iterator[type[FradectError]]:
    yield kind
    for one in kind.__subclasses__():
        yield from _kinds(one)


def test_every_type_of_problem_is_listed_with_its_status() -> None:
    ours = {one.type: one for one in _kinds(FradectError) if one.__module__.split(".")[0] in ("fradect", "serving")}
    assert set(PROBLEM_TYPES) == set(TITLES) == set(ours)
    for name, told in PROBLEM_TYPES.items():
        assert told.kind.status == ours[name].status
        assert f"| `{URN}{name}` | {told.kind.status} |" in DESCRIBED["info"]["description"]


def test_every_answer_of_a_problem_names_types_of_its_status() -> None:
    shown = set()
    for where, operation in _operations():
        for status, response in operation["responses"].items():
            if status[0] in "45" and status != "410" and MEDIA_TYPE in response.get("content", {}):
                examples = response["content"][MEDIA_TYPE]["examples"]
                assert examples, f"{where} {status}"
                assert all(str(PROBLEM_TYPES[name].kind.status) == status for name in examples)
                shown |= set(examples)
    assert set(PROBLEM_TYPES) - shown <= {"method-not-allowed"}  # which is no operation's


def test_the_page_of_errors_says_what_the_description_says() -> None:
    page = (ROOT / "docs" / "concepts" / "errors.md").read_text()
    for name, told in PROBLEM_TYPES.items():
        assert f"| `{URN}{name}` | {told.kind.status} | {told.meaning} | {told.remedy} |" in page
    assert set(re.findall(rf"`{URN}([a-z-]+)`", page)) == set(PROBLEM_TYPES)
