"""Kafka's door. Where to read on is what our own tables say; Kafka's committed offsets are neither read nor written."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl, urlsplit

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka import Message as Received

from fradect.errors import InvalidInput, Unavailable
from fradect.stream import Delivery, Fenced, Kind, Letter, Message, Part, Place, Portion

log = logging.getLogger(__name__)

MOST = 500  # messages at a time
_GATHER = 0.02  # seconds, for more messages once there is one
_ACKED = 30.0  # seconds that a dead letter may take
_ANSWERED = 2.0  # seconds in which some broker must say what topics there are
_JOINED = 15.0  # seconds in which a group lets a member in, or is asked what keeps it

# Where the user's own settings do not say otherwise: a broker that is away is not knocked at twenty times a second.
_GENTLE: Mapping[str, object] = {"reconnect.backoff.ms": 250, "reconnect.backoff.max.ms": 5_000}

# What is ours to decide: a delivery is taken when our transaction says so.
_OURS: Mapping[str, object] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "earliest",
}


@dataclass(frozen=True, slots=True)
class KafkaUrl:
    """`kafka://host:port[,host:port]/topic?group=G&outcomes=TOPIC&config=FILE`; `config`: lines of librdkafka's own
    settings, such as security.protocol and sasl.password, which do not belong on a command line."""

    servers: str
    topic: str
    outcomes: str | None
    group: str
    config: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, url: str, outcomes: str | None, group: str) -> "KafkaUrl":
        """`outcomes` and `group` stand in for what the URL leaves out."""
        parts = urlsplit(url)
        asked = dict(parse_qsl(parts.query, keep_blank_values=True))
        stray = sorted(asked.keys() - {"group", "outcomes", "config"})
        topic = parts.path.strip("/")
        if not parts.netloc or "@" in parts.netloc or not topic or "/" in topic or stray:
            wrong = f"{stray[0]!r} is unknown" if stray else "hosts or topic are missing"
            raise InvalidInput(
                f"stream URL: {wrong}; write kafka://host:port[,host:port]/topic?group=G&outcomes=TOPIC&config=FILE",
                field="stream",
            )
        for server in parts.netloc.split(","):
            host, _, port = server.rpartition(":")
            if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
                raise InvalidInput(f"stream URL: {server!r} is no host:port, like 10.0.0.1:9092", field="stream")
        own = _properties(Path(asked["config"])) if asked.get("config") else {}
        return cls(parts.netloc, topic, asked.get("outcomes") or outcomes, asked.get("group") or group, own)

    @property
    def settings(self) -> dict[str, object]:
        return {**_gentle(self.config), **self.config, "bootstrap.servers": self.servers}


class KafkaSource:
    """A Source over one topic of events and, where there is one, a topic of outcomes. One member of its group."""

    def __init__(self, url: KafkaUrl, positions: Callable[[], Mapping[Part, int]], most: int = MOST) -> None:
        self._url = url
        self._stored = positions
        self._most = most
        self._next: dict[Part, int | None] = {}
        self._handed: Delivery | None = None
        self._to_assign: list[TopicPartition] | None = None
        self._has_joined = False
        self._is_lost = False
        self._ended: set[Part] = set()
        self._trouble: str | None = None
        self._suspicion: str | None = None
        self._joining_since = time.monotonic()
        settings = {**url.settings, **_OURS, "group.id": url.group, "error_cb": self._on_error}
        self._consumer = _made(Consumer, settings)
        topics = [url.topic] if url.outcomes is None else [url.topic, url.outcomes]
        self._consumer.subscribe(topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke)

    def poll(self, seconds: float) -> Delivery | None:
        self._settle()
        self._assign()
        self._reach()
        found = self._consumer.consume(1, seconds)
        if found and self._most > 1:
            found += self._consumer.consume(self._most - 1, _GATHER)
        self._handed = self._delivery([message for message in found if self._is_wanted(message)])
        trouble, self._trouble = self._trouble, None
        if self._handed is None and trouble is not None:
            raise Unavailable(trouble)
        return self._handed

    def rest(self, seconds: float) -> None:
        """Polling goes on, as the group wants a sign of life, but nothing is fetched meanwhile."""
        ours = self._consumer.assignment()
        self._consumer.pause(ours)
        stray = self._consumer.poll(seconds)
        self._is_lost = self._is_lost or (stray is not None and stray.error() is None)
        self._consumer.resume(ours)
        if self._is_lost:
            raise Fenced("the group's partitions were given out anew")

    def recover(self) -> None:
        self._handed, self._is_lost = None, False
        if self._to_assign is None and self._has_joined:
            self._to_assign = self._consumer.assignment()

    @property
    def is_caught_up(self) -> bool:
        return self._has_joined and self._to_assign is None and self._next.keys() <= self._ended

    def lag(self) -> Mapping[Part, int]:
        """Messages of our partitions after what was handed out, as of the last fetch; none while a broker is away."""
        found: dict[Part, int] = {}
        if self._suspicion is not None:
            return found
        for (topic, partition), position in self._next.items():
            marks = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
            if marks is not None and marks[1] >= 0:
                found[topic, partition] = max(0, marks[1] - max(position or 0, marks[0], 0))
        return found

    def close(self) -> None:
        self._consumer.close()

    def _reach(self) -> None:
        """A broker that went costs a cluster nothing: Unavailable when none answers, or the group lets nobody in."""
        is_late = not self._has_joined and time.monotonic() - self._joining_since > _JOINED
        if self._suspicion is None and not is_late:
            return
        try:
            self._consumer.list_topics(self._url.topic, _ANSWERED)
        except KafkaException as error:
            self._suspicion = self._suspicion or _reason(error.args[0])
            said = f"Kafka at {self._url.servers} does not answer ({self._suspicion})"
            raise Unavailable(f"{said}: see that it runs, and that the address is right") from error
        self._suspicion = None
        if is_late:
            raise Unavailable(f"Kafka at {self._url.servers} has not let us into group {self._url.group} yet")

    def _settle(self) -> None:
        """What was handed out has been taken."""
        if self._handed is not None:
            self._next |= {part: end for part, end in self._handed.ends.items() if part in self._next}
            self._handed = None

    def _assign(self) -> None:
        if self._to_assign is None:
            return
        stored = self._stored()
        wanted = [(part.topic, part.partition) for part in self._to_assign]
        self._next = {part: stored.get(part) for part in wanted}
        self._consumer.assign(
            [TopicPartition(*part, OFFSET_BEGINNING if at is None else at) for part, at in self._next.items()]
        )
        self._to_assign, self._has_joined, self._is_lost = None, True, False
        self._ended.clear()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Only noted: the positions are read where a database that is away can be waited for."""
        self._to_assign = partitions
        consumer.assign([])

    def _on_revoke(self, consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._next, self._to_assign, self._is_lost = {}, None, True
        self._has_joined, self._joining_since = False, time.monotonic()
        consumer.unassign()

    def _on_error(self, error: KafkaError) -> None:
        self._suspicion = self._suspicion or _reason(error)

    def _is_wanted(self, message: Received) -> bool:
        part = message.topic() or "", message.partition() or 0
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                self._ended.add(part)
            else:
                self._trouble = f"Kafka: {error.str()}"
            return False
        self._ended.discard(part)
        return part in self._next and (message.offset() or 0) >= (self._next[part] or 0)

    def _delivery(self, messages: Sequence[Received]) -> Delivery | None:
        if not messages:
            return None
        portions, starts, ends = [], {}, {}
        for kind, topic in ((Kind.EVENTS, self._url.topic), (Kind.OUTCOMES, self._url.outcomes)):
            mine = [message for message in messages if message.topic() == topic]
            places = [Place(str(topic), m.partition() or 0, m.offset() or 0) for m in mine]
            for place in places:
                part = place.topic, place.partition
                starts[part], ends[part] = self._next[part], place.offset + 1
            rows = [Message(_bytes(m.key()), _bytes(m.value())) for m in mine]
            portions += [Portion(kind, places, rows)] if mine else []
        return Delivery(tuple(portions), starts, ends)


class KafkaLetters:
    """Dead letters to `<topic>.dead`: the message as it came, what is wrong with it in its headers."""

    def __init__(self, url: KafkaUrl) -> None:
        timeout = round(_ACKED * 1000 * 2 / 3)  # the producer gives up before we do
        self._producer = _made(Producer, {**url.settings, "acks": "all", "message.timeout.ms": timeout})

    def bury(self, letters: Sequence[Letter]) -> None:
        failures: list[str] = []

        def on_delivery(error: KafkaError | None, _message: Received) -> None:
            if error is not None:
                failures.append(error.str())

        try:
            for letter in letters:
                message = letter.message or Message(None, None)
                target = f"{letter.place.topic}.dead"
                headers = _headers(letter)
                self._producer.produce(target, message.value, message.key, headers=headers, on_delivery=on_delivery)
                self._producer.poll(0)
            waiting = self._producer.flush(_ACKED)
        except (BufferError, KafkaException) as error:
            raise Unavailable(f"dead letters were not accepted ({type(error).__name__})") from error
        if failures or waiting:
            raise Unavailable(f"dead letters were not accepted: {(failures or ['no answer'])[0]}")

    def close(self) -> None:
        self._producer.flush(1.0)


class _Librdkafka:
    """What librdkafka logs. Of brokers that are away we tell ourselves, once."""

    def log(self, level: int, message: str, facility: str, *rest: object) -> None:
        log.log(logging.DEBUG if facility in ("FAIL", "ERROR") else level, message, facility, *rest)


_LIBRDKAFKA = _Librdkafka()

C = TypeVar("C", Consumer, Producer)


def _made(kind: type[C], settings: Mapping[str, object]) -> C:
    try:
        return kind(dict(settings), logger=_LIBRDKAFKA)
    except KafkaException as error:
        raise InvalidInput(f"config of the stream: {error.args[0].str()}", field="stream") from error


def _gentle(config: Mapping[str, str]) -> Mapping[str, object]:
    """librdkafka refuses a lowest pause above the highest, of which the user may have set one."""
    return {} if _GENTLE.keys() & config.keys() else _GENTLE


def _reason(error: KafkaError) -> str:
    """Without the milliseconds, which differ each time."""
    return error.str().split(" (after ")[0]


def _headers(letter: Letter) -> list[tuple[str, str | bytes | None]]:
    reject, place = letter.reject, letter.place
    said = {
        "reason": str(reject.reason),
        "field": reject.field,
        "detail": reject.detail,
        "topic": place.topic,
        "partition": str(place.partition),
        "offset": str(place.offset),
        "attempts": str(letter.attempts),
        "first_seen": str(letter.first_seen),
    }
    return [(f"fradect_{name}", text.encode()) for name, text in said.items()]


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _properties(path: Path) -> dict[str, str]:
    """Lines of `name=value`; what stands behind # at a line's start is a comment."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"config {path} cannot be read ({type(error).__name__})", field="stream") from error
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    found = {name.strip(): value.strip() for name, sign, value in pairs if sign}
    _check_names(found, path, len(found) < len(pairs))
    return found


def _check_names(found: Iterable[str], path: Path, is_odd: bool) -> None:
    ours = sorted({*_OURS, "group.id", "bootstrap.servers"} & set(found))
    if ours or is_odd:
        wrong = f"{ours[0]} is not yours to set" if ours else "a line is no name=value, or a name comes twice"
        raise InvalidInput(f"config {path}: {wrong}", field="stream")
