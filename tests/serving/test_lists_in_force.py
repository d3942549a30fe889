"""Lists at work: a change reaches decisions, which say so, and without lists nothing is approved unseen."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from fradect.adapters.lists_sql import Change, SqlLists
from fradect.adapters.shared_sql import open_shared
from fradect.adapters.tables import list_entries
from fradect.lists import FOR_EVER, Entry, ListName, canonical
from fradect.modules import module_of
from tests.factories_decision import body
from tests.serving.conftest import Client

CALM = {"customer": {"email": "Ada@Mail.Example.org", "signup_at": "2020-01-01T00:00:00Z"}}


def _put(client: Client, name: str, kind: str, value: str, until: int = FOR_EVER) -> None:
    text = canonical(module_of("ecommerce"), kind, value)
    client.service._lists.add([(Entry("demo", "ecommerce", ListName(name), kind, text, until), "")], Change("ann", 1))
    client.service._lists.reload()


def _decide(client: Client, transaction_id: str, **changes: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.post(body(transaction_id, **(CALM | changes))).json()
    return answer


def _rules(answer: dict[str, Any]) -> set[str]:
    return {factor["name"] for factor in answer["factors"] if factor["source"] == "rule"}


@pytest.mark.parametrize(
    ("kind", "value", "decision"),
    [
        ("customer", "c1", "DECLINE"),
        ("device", "d1", "DECLINE"),
        ("card", "k1", "DECLINE"),
        ("ip", "192.0.2.0/24", "REVIEW"),
        ("email_domain", "example.org", "REVIEW"),
    ],
)
def test_a_denied_value_decides_from_the_next_reload_on(
    served: Callable[[], Client], kind: str, value: str, decision: str
) -> None:
    client = served()
    assert not _rules(_decide(client, "before"))
    _put(client, "deny", kind, value)
    denied = _decide(client, "after")
    assert denied["decision"] == decision
    assert f"denied_{kind}" in _rules(denied)
    client.service._lists.remove(Entry("demo", "ecommerce", ListName.DENY, kind, value), Change("bob", 2))
    client.service._lists.reload()
    assert not _rules(_decide(client, "later"))


def test_an_allowance_spares_what_the_model_says_and_a_denial_goes_before_it(served: Callable[[], Client]) -> None:
    client = served()
    _put(client, "allow", "customer", "c1")
    assert "allowed_customer" in _rules(_decide(client, "t1"))
    _put(client, "deny", "card", "k1")
    both = _decide(client, "t2")
    assert (both["decision"], _rules(both)) == ("DECLINE", {"allowed_customer", "denied_card"})


def test_an_entry_that_has_ended_counts_no_more(served: Callable[[], Client]) -> None:
    client = served()
    _put(client, "deny", "customer", "c1", until=1_600_000_000_000_000)
    assert not _rules(_decide(client, "t1"))


def test_the_domain_is_kept_and_the_address_is_not(served: Callable[[], Client]) -> None:
    client = served()
    _decide(client, "t1")
    with client.service._ledger.engine.connect() as connection:
        stored = bytes(connection.execute(sa.text("SELECT fields FROM events")).scalar_one())
    assert b'"email_domain":"mail.example.org"' in stored
    assert b"ada" not in stored.lower().replace(b"mail.example.org", b"")


def test_while_the_lists_cannot_be_read_a_decision_is_a_review_and_says_why(
    served: Callable[[], Client], tmp_path: Any
) -> None:
    engine = open_shared(f"sqlite:///{tmp_path}/ledger.db")
    client = served()
    client.service._lists._lists = None  # as after a start without the table
    blind = _decide(client, "t1")
    assert (blind["decision"], blind["degraded"]) == ("REVIEW", ["lists"])
    SqlLists(engine).add([(Entry("demo", "ecommerce", ListName.DENY, "device", "nobody's"), "")], Change("ann", 1))
    client.service._lists.reload()
    assert _decide(client, "t2")["degraded"] == []
    engine.dispose()


def test_a_table_that_is_gone_does_not_stop_decisions(served: Callable[[], Client], tmp_path: Any) -> None:
    client = served()
    _put(client, "deny", "device", "d1")
    engine = open_shared(f"sqlite:///{tmp_path}/ledger.db")
    list_entries.drop(engine)
    engine.dispose()
    assert _decide(client, "t1")["decision"] == "DECLINE"
