"""Kafka over real TCP, against librdkafka's mock cluster: kills, brokers that go, groups that change, poison."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from fradect.adapters.kafka_stream import KafkaLetters, KafkaSource, KafkaUrl
from fradect.errors import InvalidInput, Unavailable
from fradect.stream import Options, Progress
from tests.stream.factories_stream import Shop, message, open_shop, verdict
from tests.stream.mock_kafka import MockKafka, mock_kafka

_GROUPS = count()
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def kafka() -> Iterator[MockKafka]:
    with mock_kafka() as cluster:
        yield cluster


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path / "home", real=True) as made:
        yield made


def url(kafka: MockKafka, topic: str, tmp_path: Path, **more: str) -> KafkaUrl:
    """With settings that make a broker's return quickly seen. Each has a group of its own, as the mock cluster lets
    nobody join for five seconds after somebody left; whose positions they are, the store's source says."""
    config = tmp_path / "kafka.properties"
    config.write_text("# quick\nsession.timeout.ms=6000\nreconnect.backoff.max.ms=300\nfetch.wait.max.ms=50\n")
    asked = "&".join(f"{name}={value}" for name, value in {"config": str(config), **more}.items())
    return KafkaUrl.parse(f"kafka://{kafka.servers}/{topic}?{asked}", None, f"{topic}-{next(_GROUPS)}")


def consume(shop: Shop, where: KafkaUrl, **given: Any) -> Progress:
    """Until caught up."""
    source = KafkaSource(where, shop.store().positions, given.pop("most", 50))
    try:
        return shop.ingest(source, dead=KafkaLetters(where), **given).run(once=True)
    finally:
        source.close()


@contextmanager
def running(shop: Shop, where: KafkaUrl, told: Callable[[Progress], None]) -> Iterator[None]:
    """Consumed by a thread of its own until the block is left."""
    stopped = threading.Event()
    source = KafkaSource(where, shop.store().positions, 20)
    options = Options(every=0.1)
    work = shop.ingest(source, options, dead=KafkaLetters(where), tell=told)
    thread = threading.Thread(target=lambda: work.run(stop=stopped.is_set))
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(30)
        source.close()
        assert not thread.is_alive()


def wait(until: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_both_topics_are_taken_from_where_our_own_table_says(kafka: MockKafka, shop: Shop, tmp_path: Path) -> None:
    kafka.topic("both", 2), kafka.topic("told")
    kafka.send("both", [message(i, fraud="") for i in range(60)])
    kafka.send("both", [message(i, fraud="") for i in range(60, 80)], partition=1)
    kafka.send("told", [verdict(3), verdict(70), verdict(999)])
    where = url(kafka, "both", tmp_path, outcomes="told")
    done = consume(shop, where)
    assert (done.events, done.outcomes, done.repeated, done.dead) == (80, 3, 0, 0)
    assert shop.positions() == [("both", 0, 60), ("both", 1, 20), ("told", 0, 3)]
    assert set(done.lag.values()) == {0}
    kafka.send("both", [message(80, fraud="")])
    again = consume(shop, url(kafka, "both", tmp_path, outcomes="told"))
    assert (again.events, again.repeated) == (1, 0)
    assert {about[0]: number is None for about, (_, number) in shop.outcomes().items()} == {
        "t3": False,
        "t70": False,
        "t999": True,
    }
    shop.check()


def test_poison_goes_to_the_dead_topic_with_its_story_and_blocks_nothing(
    kafka: MockKafka, shop: Shop, tmp_path: Path
) -> None:
    kafka.topic("poisoned"), kafka.topic("poisoned.dead")
    kafka.send("poisoned", [message(1), b"{broken", message(2, amount="-1"), message(3)])
    before = time.time_ns() // 1000
    kafka.fail_produce(2)
    done = consume(shop, url(kafka, "poisoned", tmp_path))
    assert (done.events, done.dead) == (2, 2)
    first, second = kafka.read("poisoned.dead")
    assert first.value() == b"{broken"
    said = {name: value.decode() for name, value in second.headers()}
    assert before <= int(said.pop("fradect_first_seen")) <= time.time_ns() // 1000
    assert said == {
        "fradect_reason": "negative amount",
        "fradect_field": "amount",
        "fradect_detail": "",
        "fradect_topic": "poisoned",
        "fradect_partition": "0",
        "fradect_offset": "2",
        "fradect_attempts": "5",
    }
    assert shop.positions() == [("poisoned", 0, 4)]


def test_a_broker_that_is_slow_and_goes_and_comes_back_costs_only_time(
    kafka: MockKafka, shop: Shop, tmp_path: Path
) -> None:
    told: list[Progress] = []
    kafka.topic("shaky")
    kafka.send("shaky", [message(i) for i in range(100)])
    with running(shop, url(kafka, "shaky", tmp_path), told.append):
        wait(lambda: bool(shop.events()))
        kafka.slow(300)
        kafka.send("shaky", [message(i) for i in range(100, 150)])
        wait(lambda: len(shop.events()) == 150)
        kafka.slow(0)
        kafka.broker_down()
        wait(lambda: any(progress.trouble for progress in told))
        kafka.broker_up()
        kafka.send("shaky", [message(i) for i in range(150, 200)])
        wait(lambda: len(shop.events()) == 200)
        wait(lambda: told[-1].lag == {("shaky", 0): 0})
    assert max(sum(progress.lag.values()) for progress in told) > 0
    assert shop.positions() == [("shaky", 0, 200)]
    assert told[-1].repeated == 0
    shop.check()


def test_a_broker_that_is_away_for_longer_than_the_group_waits_is_told_of_once(
    kafka: MockKafka, shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The group has taken the partitions away by then, and gives them out anew."""
    told: list[Progress] = []
    kafka.topic("gone")
    kafka.send("gone", [message(i) for i in range(10)])
    with running(shop, url(kafka, "gone", tmp_path), told.append):
        wait(lambda: bool(told) and told[-1].behind == 0)
        kafka.broker_down()
        wait(lambda: any("does not answer" in progress.trouble for progress in told))
        time.sleep(7)
        assert told[-1].behind is None, "nobody can tell"
        kafka.broker_up()
        kafka.send("gone", [message(i) for i in range(10, 20)])
        wait(lambda: len(shop.events()) == 20)
        wait(lambda: told[-1].behind == 0)
    words = [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert sum(word.startswith("waiting: Kafka at") for word in words) == 1
    assert sum(word.startswith("going on, after") for word in words) == 1
    assert len(words) <= 4, words
    shop.check()


def test_who_comes_once_does_not_wait_for_ever(shop: Shop, tmp_path: Path) -> None:
    source = KafkaSource(KafkaUrl.parse("kafka://127.0.0.1:1/nothing", None, "nobody"), shop.store().positions)
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 does not answer .*see that it runs.*--wait"):
        shop.ingest(source, Options(wait=1)).run(once=True)
    assert time.monotonic() - began < 20
    source.close()


def test_who_is_stopped_while_the_broker_is_away_does_not_claim_to_be_caught_up(
    kafka: MockKafka, shop: Shop, tmp_path: Path
) -> None:
    kafka.topic("cut")
    kafka.send("cut", [message(i) for i in range(10)])
    told: list[Progress] = []
    with running(shop, url(kafka, "cut", tmp_path), told.append):
        wait(lambda: bool(told) and told[-1].behind == 0)
        kafka.broker_down()
        wait(lambda: bool(told[-1].trouble))
    kafka.broker_up()
    assert (told[-1].events, told[-1].behind) == (10, None)
    assert "does not answer" in told[-1].trouble


def test_a_second_consumer_takes_over_partitions_without_gap_or_double(
    kafka: MockKafka, shop: Shop, tmp_path: Path
) -> None:
    kafka.topic("shared", 4)
    where = url(kafka, "shared", tmp_path)
    first: list[Progress] = []
    second: list[Progress] = []
    with open_shop(shop.home, real=True) as other, running(shop, where, first.append):
        send(kafka, range(200))
        wait(lambda: len(shop.events()) > 40)
        with running(other, where, second.append):
            wait(lambda: bool(second) and bool(second[-1].lag))
            send(kafka, range(200, 400))
            wait(lambda: len(shop.events()) == 400)
            assert first[-1].lag.keys().isdisjoint(second[-1].lag.keys())
    assert first[-1].events + second[-1].events == 400
    assert second[-1].events > 0
    assert sum(position for *_, position in shop.positions()) == 400
    shop.check()


def send(kafka: MockKafka, numbers: range) -> None:
    for partition in range(4):
        kafka.send("shared", [message(i) for i in numbers if i % 4 == partition], partition)


CONSUMER = """
import json, os, signal, sys
from pathlib import Path
from tests.stream.factories_stream import open_shop
from tests.stream.test_kafka_stream import consume
from fradect.adapters.kafka_stream import KafkaUrl

home, address, config, deaths = json.loads(sys.argv[1])

def dying(point, left):
    def at(step):
        if step == point:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    return at

for i, plan in enumerate([*deaths, ""]):
    child = os.fork()
    if not child:
        point, _, count = plan.partition(":")
        with open_shop(Path(home), real=True) as shop:
            where = KafkaUrl.parse(f"kafka://{address}?outcomes=fates&config={config}", None, f"life-{i}")
            consume(shop, where, most=10, at=dying(point, [int(count or 0)]))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_killed_between_any_two_steps_the_next_life_leaves_no_gap_and_no_double(
    kafka: MockKafka, shop: Shop, tmp_path: Path
) -> None:
    for topic in ("lives", "lives.dead", "fates", "fates.dead"):
        kafka.topic(topic)
    kafka.send("lives", [b"poison" if i % 40 == 7 else message(i, fraud="" if i % 3 else "0") for i in range(160)])
    kafka.send("fates", [verdict(i, kind="return") for i in range(0, 160, 2)])
    url(kafka, "lives", tmp_path)
    # One life each; a member that was killed keeps its group waiting, so each life joins a group of its own.
    deaths = [
        "judged:3",
        "buried:1",
        "applied:2",
        "numbered:1",
        "saved:2",
        "told:1",
        "marked:2",
        "applied:1",
        "numbered:3",
    ]
    job = json.dumps([str(shop.home), f"{kafka.servers}/lives", str(tmp_path / "kafka.properties"), deaths])
    ran = subprocess.run(
        [sys.executable, "-c", CONSUMER, job], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.stdout.split() == [str(-signal.SIGKILL)] * len(deaths) + ["0"], ran.stderr
    poison = {i for i in range(160) if i % 40 == 7}
    assert set(shop.events()) == {f"t{i}" for i in set(range(160)) - poison}
    assert len(shop.outcomes()) == 80 + len([i for i in range(0, 160, 3) if i not in poison])
    assert sum(number is None for _, number in shop.outcomes().values()) == 0
    assert shop.positions() == [("fates", 0, 80), ("lives", 0, 160)]
    assert shop.state.numbers().keys() == shop.events().keys()
    shop.check()
    buried = Counter(dict(m.headers())["fradect_offset"] for m in kafka.read("lives.dead"))
    assert {int(offset) for offset in buried} == poison
    assert sum(buried.values()) <= len(poison) + len(deaths)  # once more for a life that ended before it was stored


@pytest.mark.parametrize(
    "written",
    [
        "kafka://",
        "kafka://host:1/",
        "kafka://host:1/a/b",
        "kafka://user:secret@host:1/topic",
        "kafka://host:1/topic?grup=x",
        "kafka://host:1/topic?config=/nowhere.properties",
    ],
)
def test_a_url_that_means_nothing_is_refused_without_repeating_secrets(written: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        KafkaUrl.parse(written, None, "group")
    assert "secret" not in str(refused.value)


def test_a_setting_that_librdkafka_does_not_know_is_refused(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "own.properties").write_text("no.such=1")
    where = KafkaUrl.parse(f"kafka://host:1/topic?config={tmp_path}/own.properties", None, "group")
    with pytest.raises(InvalidInput, match=r"no\.such"):
        KafkaSource(where, shop.store().positions)


@pytest.mark.parametrize("line", ["enable.auto.commit=true", "group.id=other", "nonsense"])
def test_settings_that_are_not_the_users_are_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "own.properties").write_text(line)
    with pytest.raises(InvalidInput, match=r"own\.properties"):
        KafkaUrl.parse(f"kafka://host:1/topic?config={tmp_path}/own.properties", None, "group")


def test_dead_letters_that_nobody_takes_are_trouble_and_not_lost(kafka: MockKafka, shop: Shop, tmp_path: Path) -> None:
    kafka.topic("hard"), kafka.topic("hard.dead")
    kafka.send("hard", [b"poison"])
    where, seen = url(kafka, "hard", tmp_path), []

    def told(progress: Progress) -> None:
        seen.append(progress.trouble)

    class Closed(KafkaLetters):
        def bury(self, letters: Any) -> None:
            if seen.count("no broker") < 2:
                raise Unavailable("no broker")
            super().bury(letters)

    source = KafkaSource(where, shop.store().positions)
    shop.ingest(source, Options(every=0), dead=Closed(where), tell=told).run(once=True)
    source.close()
    assert seen.count("no broker") == 2
    assert len(kafka.read("hard.dead")) == 1
