"""The relay's composition root: settings become its adapters, and it runs until whoever started it ends.

`python -m serving.wiring_relay`, as serving/relay.py starts it.
"""

import asyncio
import os
import signal
import sys
import threading
from collections import Counter
from contextlib import suppress

import msgspec

from fradect.adapters.database import open_database
from fradect.adapters.outward import Guard
from fradect.adapters.vault import HomeVault
from fradect.adapters.webhook_queue import WebhookQueue
from fradect.adapters.webhook_relay import Relay
from fradect.adapters.webhook_sender import WebhookSender
from fradect.settings import Outward, Settings
from serving import logs
from serving.relay import Counts

_SAY_SECONDS = 2.0
_NICE = 5  # decisions go first


async def run(settings: Settings, outward: Outward) -> None:
    """Until standard input ends, as it does when its other end does, in whatever way."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # a terminal's Ctrl-C is for whoever started us
    threading.Thread(target=_until_input_ends, args=(loop, stop), name="input", daemon=True).start()
    engine, sender = open_database(settings.ledger_url), WebhookSender(Guard(outward))
    relay = Relay(WebhookQueue(engine, HomeVault(settings.home)), sender)
    saying = asyncio.create_task(_say(relay, stop))
    try:
        await relay.run(stop)
    finally:
        saying.cancel()
        await sender.close()
        engine.dispose()


def _until_input_ends(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    sys.stdin.buffer.read()
    with suppress(RuntimeError):  # the loop has ended by itself
        loop.call_soon_threadsafe(stop.set)


async def _say(relay: Relay, stop: asyncio.Event) -> None:
    said: Counter[str] = Counter()
    while not stop.is_set():
        await asyncio.sleep(_SAY_SECONDS)
        now = Counter(relay.counts)
        news, said = now - said, now
        if news:
            _write(msgspec.json.encode(Counts(**news)) + b"\n")


def _write(line: bytes) -> None:
    with suppress(BrokenPipeError):  # whoever listened is gone, and so are we in a moment
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


def main() -> None:
    logs.set_up()
    os.nice(_NICE)
    asyncio.run(run(Settings.from_env(), Outward.from_env()))


if __name__ == "__main__":
    main()
