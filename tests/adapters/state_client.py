"""A process of its own on a live state, for tests: several clients buy at once and say what they saw; or one dies.

`python state_client.py URL shop PROCESS CLIENTS PURCHASES`, or `python state_client.py URL die STEP`.
"""

import os
import random
import sys
import threading
from typing import Any

import msgspec

from fradect.adapters.states import States, open_state
from fradect.features.layout import layout_of
from fradect.features.live import Reader, Snapshot
from fradect.modules import contract_of, module_of
from fradect.types import DAY, HOUR, MINUTE, Event

MODULE = module_of("ecommerce")
CONTRACT = contract_of("ecommerce/standard")
READER = Reader(MODULE, CONTRACT)
START = 20_000 * DAY


def bought(name: str, rng: random.Random, skew: int) -> Event:
    """By few customers at few places; the clock is this process's own."""
    time = START + rng.randrange(3 * HOUR) + skew
    fields: dict[str, Any] = {
        "customer_id": f"c{rng.randrange(2)}",
        "merchant_id": "m",
        "device_id": f"d{rng.randrange(3)}",
        "card_token": rng.choice([None, "k0", "k1"]),
        "shipping_address_token": f"a{rng.randrange(2)}",
        "ip": "192.0.2.1",
        "amount_base": rng.randrange(1_000),
    }
    return Event(name, "demo", "ecommerce", time, time, fields)


def shop(state: States, process: int, clients: int, purchases: int) -> list[Any]:
    """Number, event and vector of every purchase; each is asked twice now and then, as impatient callers do."""
    seen: list[Any] = []

    def buy(client: int) -> None:
        rng = random.Random(100 * process + client)
        for i in range(purchases):
            event = bought(f"p{process}c{client}i{i}", rng, process * MINUTE)
            arrival = state.arrive(event)
            vector = READER.vector(event, arrival.view, Snapshot({}, {}))
            seen.append((arrival.seq, event, vector.values))
            if i % 5 == 0:
                again = state.arrive(event)
                assert again.seq == arrival.seq
                assert repr(READER.vector(event, again.view, Snapshot({}, {})).values) == repr(vector.values)

    threads = [threading.Thread(target=buy, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def main(url: str, what: str, *rest: str) -> None:
    state = open_state(url)
    state.adopt("demo", layout_of(MODULE, CONTRACT))
    if what == "die":
        state.arrive(bought("doomed", random.Random(1), 0))
        os._exit(9)  # between arrival and commit
    process, clients, purchases = map(int, rest)
    sys.stdout.buffer.write(msgspec.json.encode(shop(state, process, clients, purchases)))


if __name__ == "__main__":
    main(*sys.argv[1:])
