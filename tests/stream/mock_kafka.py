"""librdkafka's mock cluster over real TCP, by its C interface in the library that confluent_kafka brings."""

import ctypes
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

_PRODUCER = 0
_PRODUCE = 0  # Kafka's number of the request


def _library() -> ctypes.CDLL:
    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    return ctypes.CDLL(str(next(folder.glob("librdkafka*.so*"))))


class MockKafka:
    """A cluster of one broker that lives in this process and is reached by TCP from any."""

    def __init__(self) -> None:
        self._lib = _library()
        self._lib.rd_kafka_conf_new.restype = ctypes.c_void_p
        self._lib.rd_kafka_new.restype = ctypes.c_void_p
        self._lib.rd_kafka_new.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
        self._lib.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
        self._lib.rd_kafka_mock_cluster_new.argtypes = [ctypes.c_void_p, ctypes.c_int]
        self._lib.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        self._lib.rd_kafka_mock_cluster_bootstraps.argtypes = [ctypes.c_void_p]
        for name in ("rd_kafka_mock_cluster_destroy", "rd_kafka_destroy"):
            getattr(self._lib, name).argtypes = [ctypes.c_void_p]
        self._lib.rd_kafka_conf_set.argtypes = [ctypes.c_void_p, *[ctypes.c_char_p] * 3, ctypes.c_size_t]
        conf = self._lib.rd_kafka_conf_new()
        self._lib.rd_kafka_conf_set(conf, b"log_level", b"3", None, 0)  # it tells that it has no servers
        self._client = self._lib.rd_kafka_new(_PRODUCER, conf, None, 0)
        self._cluster = self._lib.rd_kafka_mock_cluster_new(self._client, 1)
        self._lib.rd_kafka_mock_group_initial_rebalance_delay_ms(ctypes.c_void_p(self._cluster), 100)
        self.servers = self._lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def close(self) -> None:
        self._lib.rd_kafka_mock_cluster_destroy(self._cluster)
        self._lib.rd_kafka_destroy(self._client)

    def topic(self, name: str, partitions: int = 1) -> str:
        self._call("rd_kafka_mock_topic_create", name.encode(), partitions, 1)
        return name

    def broker_down(self) -> None:
        self._call("rd_kafka_mock_broker_set_down", 1)

    def broker_up(self) -> None:
        self._call("rd_kafka_mock_broker_set_up", 1)

    def slow(self, milliseconds: int) -> None:
        self._call("rd_kafka_mock_broker_set_rtt", 1, milliseconds)

    def fail_produce(self, times: int, code: int = KafkaError.TOPIC_AUTHORIZATION_FAILED) -> None:
        """The next so many produce requests get this error."""
        codes = (ctypes.c_int * times)(*[code] * times)
        cluster = ctypes.c_void_p(self._cluster)
        self._lib.rd_kafka_mock_push_request_errors_array(
            cluster, ctypes.c_int16(_PRODUCE), ctypes.c_size_t(times), codes
        )

    def send(self, topic: str, values: Iterable[bytes | None], partition: int = 0) -> None:
        producer = Producer({"bootstrap.servers": self.servers, "linger.ms": 1})
        for value in values:
            producer.produce(topic, value, partition=partition)
        assert producer.flush(20) == 0

    def read(self, topic: str) -> list[Any]:
        """Every message of partition 0."""
        settings = {"bootstrap.servers": self.servers, "group.id": "reader", "enable.partition.eof": True}
        consumer = Consumer({**settings, "enable.auto.commit": False, "fetch.wait.max.ms": 50})
        consumer.assign([TopicPartition(topic, 0, 0)])
        found: list[Any] = []
        while (message := consumer.poll(10)) is not None and message.error() is None:
            found.append(message)
        consumer.close()
        return found

    def _call(self, name: str, *values: Any) -> None:
        code = getattr(self._lib, name)(ctypes.c_void_p(self._cluster), *values)
        assert code == 0, f"{name}: {code}"


@contextmanager
def mock_kafka() -> Iterator[MockKafka]:
    cluster = MockKafka()
    try:
        yield cluster
    finally:
        cluster.close()
