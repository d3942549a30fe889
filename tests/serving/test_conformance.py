"""Every operation, asked by schemathesis as the description allows and as it forbids: answers are as described.

What is made up is the same at every run. Our own corpora of texts and numbers are in test_hostile_*.py; some of them
are put into these requests too.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from fradect.permissions import ROLES
from serving.app import create
from serving.openapi import document
from serving.wiring import Service
from tests.serving.conftest import promote, settings_of
from tests.serving.test_hostile_texts import INJECTIONS, ODD, REFUSED

OPERATIONS = [(method, path) for path, all_ in json.loads(document())["paths"].items() for method in all_]
EXAMPLES = 25
Asked = Callable[[Any], None]
load_all_checks()
ACCEPTED = CHECKS.get_one("positive_data_acceptance")
REJECTED = CHECKS.get_one("negative_data_rejection")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    home = tmp_path_factory.mktemp("conformance")
    promote(home)
    service = Service(settings_of(home))
    app = create(service.start())
    yield schemathesis.openapi.from_asgi("/openapi.json", app), service._keys.issue("demo", ROLES["admin"], 1)
    service.close()


def _each(strategy: Any, ask: Asked) -> None:
    quiet = [
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.filter_too_much,
        hypothesis.HealthCheck.data_too_large,
    ]

    @hypothesis.settings(
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=quiet
    )
    @hypothesis.given(strategy)
    def run(case: Any) -> None:
        ask(case)

    run()


DESCRIBED = json.loads(document())["paths"]
ASKED_FOR_SOMETHING = [
    (method, path) for method, path in OPERATIONS if {"parameters", "requestBody"} & set(DESCRIBED[path][method])
]
NUMBERS = [0, -0.0, -1, 0.1, 1e30, 1e-400, 10**400, 2**63, -(2**63) - 1, 1e308, True, "12", None, [], {}]
TEXTS = [*INJECTIONS.values(), *ODD.values(), "", " ", "null", "9" * 5000]
ANYTHING: list[Any] = [*TEXTS, *REFUSED.values(), *NUMBERS]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_what_is_allowed_is_answered_as_described(api: tuple[Any, str], method: str, path: str) -> None:
    schema, key = api

    def ask(case: Any) -> None:
        if path.endswith("/uploads"):  # whatever it holds
            case.call_and_validate(headers={"X-API-Key": key}, excluded_checks=[ACCEPTED])
        _put_right(case)
        case.call_and_validate(headers={"X-API-Key": key})

    _each(schema[path][method].as_strategy(generation_mode=GenerationMode.POSITIVE), ask)


# What no schema can say, by the field's name: what there is of it, which of it is known here, and what it holds.
RIGHT: dict[str, Any] = {
    "url": "https://8.8.8.8/hooks",  # a host with a public address
    "currency": "RUB",
    "country": "RU",
    "ip_country": "RU",
    "ip": "192.0.2.1",
    "event_time": "2025-10-01T10:30:00Z",  # not in the future
    "signup_at": "2025-10-01T10:30:00Z",
    "known_at": "2025-10-01T10:30:00Z",
}
FILES = {
    "application/x-ndjson": '{"transaction": {}}\n',
    "text/csv": "transaction.transaction_id,transaction.amount,transaction.currency,transaction.customer_id\n",
}


NUMBERED = itertools.count()  # an id or a key stands for one request


def _ask_for_something(query: dict[str, Any]) -> None:
    """No schema can say which of two bounds is more, nor what is a cursor."""
    query.pop("cursor", None)
    for low, high in (("from", "to"), ("min_score", "max_score")):
        if low in query:
            query.pop(high, None)


def _put_right(case: Any) -> None:
    """A request that is allowed, and one that can be taken."""
    _ask_for_something(case.query or {})
    if "Idempotency-Key" in (case.headers or {}):
        case.headers["Idempotency-Key"] = f"{len(case.headers['Idempotency-Key'])}.{next(NUMBERED)}"
    if isinstance(case.body, dict):
        for holder, name in list(_leaves(case.body)):
            if isinstance(holder.get(name), str) and name in RIGHT:
                holder[name] = RIGHT[name]
            if name == "amount":
                holder[name] = 1999
            if name == "transaction_id":
                holder[name] = f"{len(holder[name])}.{next(NUMBERED)}"
    if case.path.endswith("/uploads"):
        if case.media_type not in FILES:  # a Parquet file is no text
            hypothesis.reject()
        case.body = FILES[case.media_type]


@pytest.mark.parametrize(("method", "path"), ASKED_FOR_SOMETHING)
def test_what_is_forbidden_is_refused_as_described(api: tuple[Any, str], method: str, path: str) -> None:
    schema, key = api

    def ask(case: Any) -> None:
        """What is too large is refused before it is read."""
        response = case.call(headers={"X-API-Key": key})
        unread = [REJECTED] if response.status_code == 413 else []
        case.validate_response(response, headers={"X-API-Key": key}, excluded_checks=unread)

    _each(schema[path][method].as_strategy(generation_mode=GenerationMode.NEGATIVE), ask)


@pytest.mark.parametrize(("method", "path"), [one for one in ASKED_FOR_SOMETHING if "uploads" not in one[1]])
def test_hostile_values_anywhere_are_answered_as_described(api: tuple[Any, str], method: str, path: str) -> None:
    schema, key = api

    def ask(case: Any) -> None:
        case.call_and_validate(headers={"X-API-Key": key}, checks=ALWAYS)

    _each(_hostile(schema[path][method].as_strategy(generation_mode=GenerationMode.POSITIVE)), ask)


ALWAYS = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    )
]


@st.composite
def _hostile(draw: st.DrawFn, cases: Any) -> Any:
    """A request that is allowed, but for one value of it."""
    case = draw(cases)
    places = [(case.query, name) for name in case.query] + [
        (case.path_parameters, name) for name in case.path_parameters
    ]
    if isinstance(case.body, dict):
        places += list(_leaves(case.body))
    if not places:
        hypothesis.reject()
    holder, name = draw(st.sampled_from(places))
    in_body = holder is not case.query and holder is not case.path_parameters
    holder[name] = draw(
        st.sampled_from(ANYTHING if in_body else [text for text in TEXTS if text and not set(text) & set("/?#")])
    )
    return case


def _leaves(body: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    for name, value in body.items():
        yield body, name
        if isinstance(value, dict):
            yield from _leaves(value)


def test_a_method_that_does_not_fit_is_told_which_do(api: tuple[Any, str]) -> None:
    schema, key = api
    case = schema["/api/v1/webhooks"]["get"].Case(method="PATCH")
    response = case.call(headers={"X-API-Key": key})
    assert response.status_code == 405
    assert set(response.headers["allow"][0].split(", ")) == {"GET", "HEAD", "POST"}
