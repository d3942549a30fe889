"""Whether the time of a comparison tells anything of a secret: Welch's t of two kinds of wrong guesses, drawn in turn.

Each kind is measured a hundred thousand times, in an order drawn beforehand, every guess a text of its own and all of
them made in one way: what is made in two differs by where it lies in memory. What the machine's other work prolonged is
cut off above a quantile of both kinds together, as dudect does; the largest |t| over the cuts counts. A comparison that
ends at the first difference is measured the same way, to show that this would be seen; and one of names of keys, which
are no secret.
"""

import argparse
import gc
import json
import random
import string
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from benchmarks.limits import held
from fradect.adapters.keys import ApiKeys
from fradect.adapters.shared_sql import open_shared
from fradect.errors import Refused
from fradect.permissions import ROLES
from fradect.webhooks import new_secret, sign, verify

Ints = npt.NDArray[np.int64]

_TIMES = 100_000
_CUTS = (1.0, 0.999, 0.99, 0.95, 0.9)
_LETTERS = string.ascii_letters + string.digits
_CONTROL, _NAMES = "to be seen: letter by letter", "no secret: a name that a key has, that none has"
LIMIT = 4.5


@dataclass(frozen=True, slots=True)
class Kind:
    """A wrong guess: this text with another letter at that place."""

    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Two kinds, and what compares them."""

    compare: Callable[[str], object]
    one: Kind
    other: Kind


def _guesses(pair: Pair, times: int) -> list[tuple[int, str]]:
    kinds = (pair.one, pair.other)
    drawn = [0, 1] * times
    random.shuffle(drawn)
    found = []
    for number in drawn:
        kind = kinds[number]
        letters = list(kind.text)
        while letters[kind.at] == kind.text[kind.at]:
            letters[kind.at] = random.choice(_LETTERS)
        found.append((number, "".join(letters)))
    return found


def spent(pair: Pair, times: int) -> tuple[Ints, Ints]:
    """Nanoseconds of each guess of either kind."""
    taken: tuple[list[int], list[int]] = [], []
    guesses, compare, clock = _guesses(pair, times), pair.compare, time.perf_counter_ns
    gc.collect()
    gc.disable()
    for kind, guess in guesses:
        start = clock()
        compare(guess)
        taken[kind].append(clock() - start)
    gc.enable()
    return np.array(taken[0]), np.array(taken[1])


def largest_t(one: Ints, other: Ints) -> float:
    """Over all cuts."""
    both = np.concatenate([one, other])
    return max(abs(_welch(one[one <= cut], other[other <= cut])) for cut in np.quantile(both, _CUTS))


def _welch(one: Ints, other: Ints) -> float:
    error = one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other)
    return float((one.mean() - other.mean()) / np.sqrt(error)) if error else 0.0


def _of_keys(folder: Path) -> Mapping[str, Pair]:
    keys = ApiKeys(open_shared(f"sqlite:///{folder}/shared.db"), folder / "keys")
    key = [keys.issue("demo", ROLES["api_user"], number) for number in range(1, 101)][50]
    names = [key[9:21], "".join(random.choices(string.ascii_lowercase + string.digits, k=12))]
    known, nobodys = (f"fdk_live_{name}_{key[22:]}" for name in names)
    first, last = Kind(key, 22), Kind(key, len(key) - 1)
    return {
        "API key: its first letter is wrong, its last": Pair(keys.find, first, last),
        _NAMES: Pair(keys.find, Kind(known, 30), Kind(nobodys, 30)),
    }


def _of_webhooks() -> Pair:
    secret, body, now = new_secret(), b'{"event": "webhook.test"}', 1_795_000_000
    headers = dict(sign([secret], "msg_1", now, body))
    good = headers["webhook-signature"]

    def compare(signature: str) -> None:
        try:
            verify([secret], {**headers, "webhook-signature": signature}, body, now)
        except Refused:
            return

    return Pair(compare, Kind(good, 3), Kind(good, len(good) - 3))


def _telling() -> Pair:
    """What must be seen: letter by letter, until one differs."""
    secret = "s" * 43
    return Pair(
        lambda guess: all(mine == theirs for mine, theirs in zip(secret, guess, strict=True)),
        Kind(secret, 0),
        Kind(secret, 42),
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.secret_timing", description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=_TIMES, help="guesses of each kind")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    asked = parser.parse_args()
    console, found = Console(), dict[str, float]()
    table = Table("wrong guesses", "|t|", "ns", "ns", title=f"{asked.times:,} of each kind, means of the lower 90 %")
    with tempfile.TemporaryDirectory(prefix="timing-") as folder:
        pairs = {**_of_keys(Path(folder)), "webhook: its first letter is wrong, its last": _of_webhooks()}
        for name, pair in {**pairs, _CONTROL: _telling()}.items():
            one, other = spent(pair, asked.times)
            found[name] = largest_t(one, other)
            table.add_row(name, f"{found[name]:.2f}", *(f"{_lower(some):,.1f}" for some in (one, other)))
    console.print(table)
    if asked.json:
        asked.json.write_text(json.dumps({"times": asked.times, "t": found}))
    is_seen = held(found, {_CONTROL: LIMIT}, console, at_least=[_CONTROL])
    secrets = {name: LIMIT for name in pairs if name != _NAMES}
    sys.exit(0 if held(found, secrets, console) and is_seen else 1)


def _lower(some: Ints) -> float:
    return float(some[some <= np.quantile(some, 0.9)].mean())


if __name__ == "__main__":
    main()
