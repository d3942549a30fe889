"""A connection that breaks as a group is written: what was written is found, what was not is written, nothing twice."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from fradect.adapters.database import open_database
from fradect.adapters.direct import lent
from fradect.adapters.ledger_sql import SqlLedger
from fradect.adapters.ledger_verify import verify
from fradect.errors import FradectError, Uncertain
from fradect.ports import Stored
from tests.factories_decision import record
from tests.factories_proxy import Proxy

_LATE = 0.6  # seconds on the way, in which a test cuts it


@pytest.fixture
def way(postgres: Any) -> Iterator[Proxy]:
    proxy = Proxy(postgres.port)
    yield proxy
    proxy.close()


@pytest.fixture
def url(postgres: Any) -> str:
    return str(postgres.new_database())


@pytest.fixture
def ledger(postgres: Any, url: str, way: Proxy) -> Iterator[SqlLedger]:
    """Reaches its database by the proxy, and has written once."""
    ledger = SqlLedger(url.replace(f":{postgres.port}/", f":{way.port}/"))
    ledger.commit(record("tx0"))
    yield ledger
    ledger.close()


def _cut_on_the_way(
    ledger: SqlLedger, way: Proxy, when: Callable[[], bool], then: Callable[[], None]
) -> list[Stored | FradectError]:
    answers: list[Stored | FradectError] = []
    way.latency = _LATE
    writing = threading.Thread(target=lambda: answers.extend(ledger.commit_many([record("tx1"), record("tx2")])))
    writing.start()
    deadline = time.monotonic() + 10.0
    while not when():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    way.latency = 0.0
    then()
    writing.join()
    return answers


def _decisions(url: str) -> int:
    engine = open_database(url, kept=False)
    with engine.connect() as connection:
        count = connection.exec_driver_sql("SELECT count(*) FROM risk_decisions").scalar_one()
    engine.dispose()
    return int(count)


def test_what_was_written_before_the_answer_was_lost_is_found(ledger: SqlLedger, url: str, way: Proxy) -> None:
    answers = _cut_on_the_way(ledger, way, lambda: _decisions(url) == 3, way.cut)
    assert [one.decision_id for one in answers if isinstance(one, Stored)] == ["dec_tx1", "dec_tx2"]
    ledger.commit(record("tx3"))
    checked = verify(url)
    assert (checked.decisions, checked.broken) == (4, None)


def test_what_never_arrived_is_sent_again(ledger: SqlLedger, url: str, way: Proxy) -> None:
    began = time.monotonic()
    answers = _cut_on_the_way(ledger, way, lambda: time.monotonic() > began + _LATE / 3, way.cut)
    assert all(isinstance(one, Stored) for one in answers), answers
    assert (_decisions(url), verify(url).broken) == (3, None)


def test_while_nobody_can_ask_whether_it_was_written_the_answer_says_so(
    ledger: SqlLedger, url: str, way: Proxy
) -> None:
    answers = _cut_on_the_way(ledger, way, lambda: _decisions(url) == 3, way.down)
    assert [type(one) for one in answers] == [Uncertain, Uncertain]
    assert "ask again under the same id" in str(answers[0])
    way.up()
    found = ledger.commit_many([record("tx1", decision_id="dec_another")])
    assert [one.decision_id for one in found if isinstance(one, Stored)] == ["dec_tx1"]


def test_errors_are_sqlalchemys_and_show_no_value(ledger: SqlLedger) -> None:
    with pytest.raises(sa.exc.ProgrammingError) as caught, lent(ledger.engine) as connection:
        connection.driver_connection.execute("SELECT * FROM nowhere WHERE it = %s", ("s3cret",))  # type: ignore[union-attr]
    assert not caught.value.connection_invalidated
    assert "s3cret" not in str(caught.value)
    assert isinstance(ledger.commit(record("tx1")), Stored)


def test_a_statement_that_somebody_let_go_of_is_prepared_again(ledger: SqlLedger) -> None:
    with lent(ledger.engine) as connection:
        connection.driver_connection.pgconn.exec_(b"DEALLOCATE ALL")  # type: ignore[union-attr]
    assert isinstance(ledger.commit(record("tx1")), Stored)
    assert ledger.find("demo", "ecommerce", "tx1") is not None
