"""The simulator's two ways out: tables, day by day, and a folder of daily Parquet files and a table of IP ranges."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fradect.errors import Conflict
from fradect.simulate.campaigns import CAMPAIGNS, by_day
from fradect.simulate.customers import open_accounts
from fradect.simulate.geography import home_towns, range_table
from fradect.simulate.honest import honest_day
from fradect.simulate.labels import aftermath
from fradect.simulate.merchants import open_merchants
from fradect.simulate.purchases import Pattern, World
from fradect.simulate.rows import SCHEMA, to_table
from fradect.simulate.scenario import Scenario, events_per_day
from fradect.simulate.texts import address_countries, write_texts

RANGES = "_ip_ranges.csv"

_REPEATING = [
    name for name in SCHEMA.names if name not in ("transaction_id", "purchased_at", "label_known_at", "return_known_at")
]


@dataclass(frozen=True, slots=True)
class Summary:
    """What was written: days, purchases, and how many of them each pattern accounts for ("none": honest)."""

    days: int
    events: int
    by_pattern: dict[str, int]

    @property
    def fraud(self) -> int:
        return self.events - self.by_pattern[Pattern.NONE.name.lower()]


def simulate(scenario: Scenario) -> Iterator[pa.Table]:
    """One table per day (`rows.SCHEMA`), by time and then transaction_id. Holds the population and about a day."""
    customers = open_accounts(scenario)
    countries = address_countries(scenario.seed, customers.country)
    drops = np.arange(len(customers.signup), len(countries)) + (1 << 40)
    towns = home_towns(scenario.seed, np.concatenate((customers.household, drops)))
    world = World(scenario, customers, open_merchants(scenario), countries, towns)
    texts = write_texts(world)
    honest = np.rint(events_per_day(scenario) * (1 - scenario.fraud_rate * sum(c.share for c in CAMPAIGNS)))
    for day, rows in enumerate(by_day(world, lambda day: honest_day(world, day, int(honest[day])))):
        ordered = rows[np.argsort(rows["time"], kind="stable")]
        yield to_table(world, texts, scenario.day(day), ordered, aftermath(world, day, ordered))


def write(scenario: Scenario, folder: Path, on_day: Callable[[int, int], None] | None = None) -> Summary:
    """Daily files `YYYY-MM-DD.parquet`, each complete or not there; `on_day` is told how many are, and of how many.
    First RANGES, which an import takes for no data: its name begins with an underscore.

    Raises Conflict when the folder holds Parquet files of other days, which would be read as one trade with these.
    """
    folder.mkdir(parents=True, exist_ok=True)
    days = [scenario.day(index) for index in range(scenario.days)]
    _refuse_others(folder, {f"{day}.parquet" for day in days})
    (folder / RANGES).write_text(range_table())
    counts = {pattern.name.lower(): 0 for pattern in Pattern}
    for done, (day, table) in enumerate(zip(days, simulate(scenario), strict=True), start=1):
        _write_day(folder / f"{day}.parquet", table)
        for counted in pc.value_counts(table["fraud_pattern"]).to_pylist():
            counts[counted["values"]] += counted["counts"]
        if on_day is not None:
            on_day(done, len(days))
    return Summary(len(days), sum(counts.values()), counts)


def _refuse_others(folder: Path, ours: set[str]) -> None:
    others = sorted(path.name for path in folder.glob("*.parquet") if path.name not in ours)
    if others:
        raise Conflict(f"{folder} already holds {others[0]} of another simulation; give an empty folder")


def _write_day(path: Path, table: pa.Table) -> None:
    unfinished = path.with_name(f".{path.name}.part")
    pq.write_table(table, unfinished, compression="zstd", use_dictionary=_REPEATING)
    os.replace(unfinished, path)
