"""One log, two homes that write it: Conflict, never loss; and never a list of files that are not there."""

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fradect.adapters.compaction import Compacted, Compaction, compact
from fradect.adapters.compaction_marks import unmark
from fradect.adapters.importing import ImportOptions, import_path
from fradect.adapters.log_mirror import GrownApart, LogMirror
from fradect.adapters.mirror import Mirror
from fradect.adapters.shared_home import SharedHome
from fradect.errors import Conflict, Unavailable
from fradect.objects import ObjectStore
from tests.adapters.factories_import import events, rows, rules, shop_log, snapshot, write_csv
from tests.factories_s3 import S3Server
from tests.stream.factories_stream import message, open_shop, verdict

KEY = (("  email: email\n  phone: phone\n", ""), ("ignore: [junk]", "ignore: [junk, email, phone]"))


def bring(home: Path, *numbers: int, first_seq: int | None = None) -> None:
    options = ImportOptions(reserve=None if first_seq is None else lambda _count: first_seq)
    file = write_csv(home.parent / f"{home.name}-{numbers[0]}.csv", rows(*numbers))
    import_path(file, rules(*KEY), home, options)


def mirrored(home: Path, store: ObjectStore) -> LogMirror:
    return SharedHome(home, store).log("ecommerce", "shop")


def ids(home: Path) -> set[str]:
    return {event["event_id"] for event in events(home)}


def is_sound(home: Path) -> bool:
    """Every file that the log's list names is there and can be read, and none beside."""
    facts = shop_log(home).facts()
    batches = [] if facts is None else [batch.name for batch in facts.batches]
    folder = home / "log" / "ecommerce" / "shop"
    kinds = ("events", "outcomes", "origins")
    return all(sorted(p.stem for p in (folder / kind).glob("*.parquet")) == sorted(batches) for kind in kinds)


@pytest.fixture
def homes(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "first", tmp_path / "second"


def test_a_log_goes_to_an_empty_home_and_grows_in_both(s3: S3Server, homes: tuple[Path, Path]) -> None:
    first, second = homes
    store = s3.store()
    bring(first, 1, 2)
    assert mirrored(first, store).push()
    assert mirrored(second, store).pull()
    assert snapshot(second) == snapshot(first)
    bring(second, 3, 4)
    assert mirrored(second, store).push()
    assert mirrored(first, store).pull()
    assert snapshot(second) == snapshot(first)
    assert ids(first) == {"t1", "t2", "t3", "t4"}
    assert [event["seq"] for event in events(first)] == [1, 2, 3, 4]
    s3.asked.clear()
    assert not mirrored(first, store).push()
    assert not mirrored(first, store).pull()
    assert len(s3.asked) == 1


def test_of_two_who_add_at_once_one_is_told_and_does_it_again(s3: S3Server, homes: tuple[Path, Path]) -> None:
    store = s3.store()
    for home in homes:
        shared = SharedHome(home, store)
        with shared.working("ecommerce", "shop"):
            pass
    first, second = homes
    bring(first, 1, 2)
    mirrored(first, store).push()

    def work() -> None:
        with SharedHome(second, store).working("ecommerce", "shop"):
            bring(second, 3, 4)
            bring(first, 5)
            mirrored(first, store).push()

    with pytest.raises(Conflict, match="do the same again"):
        work()
    assert ids(second) == ids(first) == {"t1", "t2", "t5"}
    assert is_sound(second)
    with SharedHome(second, store).working("ecommerce", "shop"):
        bring(second, 3, 4)
    mirrored(first, store).pull()
    assert ids(first) == {"t1", "t2", "t3", "t4", "t5"}
    assert len({event["seq"] for event in events(first)}) == 5


def test_the_race_is_decided_by_the_store(
    s3: S3Server, homes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = homes
    store = s3.store()
    bring(first, 1)
    mirrored(first, store).push()
    mirrored(second, store).pull()
    bring(first, 2)
    bring(second, 3)
    send = Mirror.send

    def send_while_the_other_publishes(self: Mirror, *given: Any) -> Any:
        sent = send(self, *given)
        if self.home == second:
            mirrored(first, store).push()
        return sent

    monkeypatch.setattr(Mirror, "send", send_while_the_other_publishes)
    with pytest.raises(GrownApart):
        mirrored(second, store).push()
    assert ids(second) == {"t1", "t3"}  # kept, until somebody decides
    monkeypatch.undo()
    third = first.parent / "third"
    mirrored(third, store).pull()
    assert ids(third) == {"t1", "t2"}


def test_unsent_work_of_a_home_is_never_overwritten(s3: S3Server, homes: tuple[Path, Path]) -> None:
    first, second = homes
    store = s3.store()
    bring(first, 1)
    mirrored(first, store).push()
    mirrored(second, store).pull()
    bring(second, 3)
    assert not mirrored(second, store).pull()
    assert ids(second) == {"t1", "t3"}
    bring(first, 2)
    mirrored(first, store).push()
    with pytest.raises(GrownApart, match="move the folder away"):
        mirrored(second, store).pull()
    with pytest.raises(GrownApart):
        mirrored(second, store).push()
    assert ids(second) == {"t1", "t3"}
    shutil.move(second / "log" / "ecommerce" / "shop", second.parent / "away")  # as the message says
    mirrored(second, store).pull()
    bring(second, 3)
    mirrored(second, store).push()
    assert ids(second) == {"t1", "t2", "t3"}


def test_a_home_from_before_the_store_is_taken_up(s3: S3Server, homes: tuple[Path, Path]) -> None:
    first, second = homes
    store = s3.store()
    bring(first, 1)
    shutil.copytree(first, second)
    bring(first, 2)
    mirrored(first, store).push()
    assert mirrored(second, store).pull()  # it was behind
    assert snapshot(second) == snapshot(first)
    shutil.rmtree(second / "store")
    bring(second, 3)
    assert not mirrored(second, store).pull()  # it is ahead
    assert mirrored(second, store).push()
    mirrored(first, store).pull()
    assert ids(first) == {"t1", "t2", "t3"}


def test_two_homes_that_grew_apart_before_the_store_are_not_mixed(s3: S3Server, homes: tuple[Path, Path]) -> None:
    store = s3.store()
    for i, home in enumerate(homes):
        bring(home, i)
    mirrored(homes[0], store).push()
    with pytest.raises(GrownApart):
        mirrored(homes[1], store).pull()
    with pytest.raises(GrownApart):
        mirrored(homes[1], store).push()
    assert ids(homes[1]) == {"t1"}


def test_wherever_the_server_dies_readers_see_a_whole_log_and_the_next_try_works(
    s3: S3Server, homes: tuple[Path, Path]
) -> None:
    first, second = homes
    store = s3.store()
    bring(first, 1)
    mirrored(first, store).push()
    mirrored(second, store).pull()
    bring(first, 2, 3)
    broken = 0
    for _ in s3.breaks(lambda: mirrored(first, store).push()):
        broken += 1
        mirrored(second, store).pull()
        assert ids(second) == {"t1"}
        assert is_sound(second)
    assert broken > 5
    for answered in range(20):
        s3.fuse = answered
        try:
            mirrored(second, store).pull()
        except Unavailable:
            assert ids(second) == {"t1"}
            assert is_sound(second)
        else:
            break
        finally:
            s3.mend()
    assert snapshot(second) == snapshot(first)


@pytest.mark.parametrize("survives", range(4))
def test_a_pull_that_is_killed_while_files_appear_is_finished_or_undone(
    s3: S3Server, homes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, survives: int
) -> None:
    first, second = homes
    store = s3.store()
    bring(first, 1)
    mirrored(first, store).push()
    mirrored(second, store).pull()
    bring(first, 2)
    mirrored(first, store).push()
    settle, left = Mirror.settle, [survives]

    def settle_some(self: Mirror, staged: Path, target: Path) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        settle(self, staged, target)

    monkeypatch.setattr(Mirror, "settle", settle_some)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # a killed process cleans nothing up
    with pytest.raises(KeyboardInterrupt):
        mirrored(second, store).pull()
    monkeypatch.undo()
    assert is_sound(second)
    assert ids(second) == ({"t1"} if survives < 3 else {"t1", "t2"})
    mirrored(second, store).pull()
    assert snapshot(second) == snapshot(first)


def test_a_pull_waits_for_no_import_that_is_running_here(s3: S3Server, homes: tuple[Path, Path]) -> None:
    first, second = homes
    store = s3.store()
    bring(first, 1)
    mirrored(first, store).push()
    with shop_log(second).importing(), pytest.raises(Conflict, match="another import"):
        mirrored(second, store).pull()


def test_work_whose_result_cannot_be_sent_is_kept_and_sent_by_the_next(s3: S3Server, homes: tuple[Path, Path]) -> None:
    first, second = homes
    store = s3.store()

    def work() -> None:
        with SharedHome(first, store).working("ecommerce", "shop"):
            bring(first, 1)
            s3.fuse = 0

    with pytest.raises(Unavailable, match="kept here; the next command sends it"):
        work()
    with pytest.raises(Unavailable), SharedHome(first, store).working("ecommerce", "shop"):
        pytest.fail("work began without the store")
    s3.mend()
    with SharedHome(first, store).working("ecommerce", "shop"):
        pass
    mirrored(second, store).pull()
    assert ids(second) == {"t1"}


def test_what_was_compacted_from_sql_and_taken_back_is_compacted_again(s3: S3Server, homes: tuple[Path, Path]) -> None:
    first, second = homes
    store = s3.store()
    bring(first, 1)
    mirrored(first, store).push()
    with open_shop(second) as shop:
        ledger_url = f"sqlite:///{second}/ledger.db"
        shared = SharedHome(second, store, partial(unmark, ledger_url))
        shared.log("ecommerce", "shop").pull()
        shop.take([message(i, fraud="") for i in (5, 6)], [verdict(5)])
        work = Compaction(second, shop.log, shop.shared, shop.stored, shop.mapping, None)
        compact(work)
        bring(first, 2, first_seq=100)
        mirrored(first, store).push()
        shared.log("ecommerce", "shop").give_way()
        assert ids(second) == {"t1", "t2"}
        assert compact(work) == Compacted(2, 1)
        assert ids(second) == {"t1", "t2", "t5", "t6"}
        unmark(ledger_url, "ecommerce", "shop")
        assert compact(work) == Compacted()
