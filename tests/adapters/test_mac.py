"""HMAC-SHA256, to the byte."""

import hmac
from threading import Thread

from hypothesis import given
from hypothesis import strategies as st

from fradect.adapters.mac import Mac


@given(st.binary(max_size=200), st.lists(st.binary(max_size=5_000), max_size=3))
def test_it_is_hmac_for_any_key_and_message(key: bytes, messages: list[bytes]) -> None:
    mac = Mac(key)
    assert [mac.of(message) for message in messages] == [hmac.digest(key, message, "sha256") for message in messages]


def test_threads_do_not_meet_in_it() -> None:
    mac = Mac(b"k" * 32)
    wrong: list[bytes] = []

    def many(message: bytes) -> None:
        right = hmac.digest(b"k" * 32, message, "sha256")
        wrong.extend(message for _ in range(500) if mac.of(message) != right)

    threads = [Thread(target=many, args=(bytes([i]) * 4_000 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
