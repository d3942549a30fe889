"""How often ids of usual shapes are taken for card numbers, by the rule for ids and by the rule for texts.

Each shape is drawn a million times, seeded. Nothing here is timed.
"""

import argparse
import json
import random
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from fradect.cards import holds_card_number, holds_issued_number

Shape = Callable[[random.Random], str]

_DRAWN = 1_000_000
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SECOND = 1_000
_NOW, _YEARS = 1_795_000_000 * _SECOND, 2 * 365 * 86_400 * _SECOND  # milliseconds: ids of the last two years


def _time(rng: random.Random) -> int:
    return _NOW - rng.randrange(_YEARS)


def _ulid(rng: random.Random) -> str:
    number = _time(rng) << 80 | rng.getrandbits(80)
    return "".join(_CROCKFORD[number >> 5 * place & 31] for place in range(25, -1, -1))


def _snowflake(epoch: int) -> Shape:
    return lambda rng: str((_time(rng) - epoch) << 22 | rng.getrandbits(22))


SHAPES: Mapping[str, Shape] = {
    "uuid4": lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
    "uuid4, no dashes": lambda rng: uuid.UUID(int=rng.getrandbits(128), version=4).hex,
    "ULID": _ulid,
    "snowflake of 2010": _snowflake(1_288_834_974_657),
    "snowflake of 2015": _snowflake(1_420_070_400_000),
    "microseconds": lambda rng: str(_time(rng) * 1000 + rng.randrange(1000)),
    "nanoseconds": lambda rng: str(_time(rng) * 1_000_000 + rng.randrange(1_000_000)),
    "day and number": lambda rng: (
        f"ord-2026-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}-{rng.randrange(10**8):08d}"
    ),
    "digits-13": lambda rng: f"{rng.randrange(10**13):013d}",
    "digits-16": lambda rng: f"{rng.randrange(10**16):016d}",
    "digits-19": lambda rng: f"{rng.randrange(10**19):019d}",
    "order, digits-16": lambda rng: f"order {rng.randrange(10**16):016d}",
}


def shares(shape: Shape, drawn: int) -> tuple[float, float]:
    """Of how many that were drawn the rule for ids, and the rule for texts, says that it is a card number."""
    rng = random.Random(5)
    as_id = as_text = 0
    for _ in range(drawn):
        text = shape(rng)
        as_id += holds_issued_number(text)
        as_text += holds_card_number(text)
    return as_id / drawn, as_text / drawn


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.card_numbers", description=__doc__.partition("\n")[0])
    parser.add_argument("--drawn", type=int, default=_DRAWN, help="ids of each shape")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    asked = parser.parse_args()
    table = Table("shape", "as an id", "as a text", title=f"taken for a card number, of {asked.drawn:,} each")
    found: dict[str, dict[str, float]] = {}
    for name, shape in SHAPES.items():
        as_id, as_text = shares(shape, asked.drawn)
        found[name] = {"id": as_id, "text": as_text}
        table.add_row(name, f"{as_id:.4%}", f"{as_text:.4%}")
    Console().print(table)
    if asked.json:
        asked.json.write_text(json.dumps({"drawn": asked.drawn, "shares": found}))


if __name__ == "__main__":
    main()
