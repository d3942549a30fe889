"""Lists in SQL: a change is seen at the next reload, nothing is ever forgotten, and what is known outlives a fault."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from fradect.adapters.lists_sql import Change, SqlLists
from fradect.adapters.shared_sql import open_shared
from fradect.adapters.tables import list_entries
from fradect.errors import Unavailable
from fradect.lists import FOR_EVER, Entry, ListName
from fradect.types import HOUR
from tests.factories_decision import NOON, purchase

DEVICE = Entry("demo", "ecommerce", ListName.DENY, "device", "d1")
BY_ANN = Change("ann", NOON)


@pytest.fixture
def engine(ledger_url: str) -> Iterator[sa.Engine]:
    engine = open_shared(ledger_url)
    yield engine
    engine.dispose()


def test_before_the_first_reload_nothing_is_known(engine: sa.Engine) -> None:
    with pytest.raises(Unavailable, match="could not be read yet"):
        SqlLists(engine).of(purchase())


def test_a_service_follows_what_another_process_changes(engine: sa.Engine) -> None:
    service, command = SqlLists(engine), SqlLists(engine)
    service.reload()
    assert service.of(purchase())["deny_device"] is False
    command.add([(DEVICE, "stolen")], BY_ANN)
    assert service.of(purchase())["deny_device"] is False
    service.reload()
    assert service.of(purchase())["deny_device"] is True
    assert command.remove(DEVICE, Change("bob", NOON + 1))
    service.reload()
    assert service.of(purchase())["deny_device"] is False


def test_a_reload_without_a_change_keeps_what_is_there(engine: sa.Engine) -> None:
    lists = SqlLists(engine)
    lists.add([(DEVICE, "")], BY_ANN)
    lists.reload()
    before = lists._lists
    lists.reload()
    assert lists._lists is before


def test_adding_again_replaces_and_every_row_stays(engine: sa.Engine) -> None:
    lists = SqlLists(engine)
    assert lists.add([(DEVICE, "first")], BY_ANN) == 0
    until = NOON + HOUR
    again = Entry("demo", "ecommerce", ListName.DENY, "device", "d1", until)
    assert lists.add([(again, "second")], Change("bob", NOON + 2)) == 1
    first, second = lists.entries("demo", "ecommerce")
    assert (first.note, first.added_by, first.removed_by, first.removed_at) == ("first", "ann", "bob", NOON + 2)
    assert (second.entry.until, second.note, second.removed_at) == (until, "second", None)
    assert (first.entry.until, first.in_force(NOON + 3)) == (FOR_EVER, False)
    assert second.in_force(until - 1)
    assert not second.in_force(until)
    assert not lists.entries("other", "ecommerce")


def test_removing_what_is_not_there_changes_nothing(engine: sa.Engine) -> None:
    lists = SqlLists(engine)
    lists.add([(DEVICE, "")], BY_ANN)
    for other in ("d2", "D1"):
        assert not lists.remove(Entry("demo", "ecommerce", ListName.DENY, "device", other), BY_ANN)
    assert not lists.remove(Entry("demo", "ecommerce", ListName.ALLOW, "device", "d1"), BY_ANN)
    assert not lists.remove(Entry("other", "ecommerce", ListName.DENY, "device", "d1"), BY_ANN)
    assert len(lists.entries("demo", "ecommerce")) == 1


def test_what_another_version_wrote_is_passed_over(engine: sa.Engine) -> None:
    lists = SqlLists(engine)
    strange = [
        Entry("demo", "ecommerce", ListName.DENY, "shoe_size", "45"),
        Entry("demo", "tea", ListName.DENY, "x", "y"),
    ]
    lists.add([(DEVICE, ""), *((entry, "") for entry in strange)], BY_ANN)
    lists.reload()
    assert lists.of(purchase())["deny_device"] is True


def test_what_is_known_stays_when_the_table_cannot_be_read(engine: sa.Engine) -> None:
    lists = SqlLists(engine)
    lists.add([(DEVICE, "")], BY_ANN)
    lists.reload()
    list_entries.drop(engine)
    with pytest.raises(Unavailable, match="could not be read"):
        lists.reload()
    assert lists.of(purchase())["deny_device"] is True
    with pytest.raises(Unavailable, match="were not changed"):
        lists.add([(DEVICE, "")], BY_ANN)
