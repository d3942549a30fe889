"""The past of one tenant, for a backtest: events beside vectors and labels, lists as they stood, a file that grows."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from flows.wiring import Workshop
from flows.wiring.derived import derive
from flows.wiring.lists import lists
from fradect.adapters.past_rows import PastReader, PastRows
from fradect.adapters.places import publishing
from fradect.errors import InvalidInput
from fradect.features.contract import Contract
from fradect.lists import ListsThen, Spell, is_known

__all__ = ["PastReader", "PastRows", "growing", "lists_then", "reader"]

_NEVER = 2**63 - 1


def reader(shop: Workshop, contracts: Sequence[Contract]) -> PastReader:
    """What is derived from the log for these contracts is brought up to date first."""
    for contract in contracts:
        derive(shop, contract)
    return PastReader(shop.places, shop.log, contracts)


def lists_then(shop: Workshop) -> tuple[ListsThen, int]:
    """The tenant's lists at any time, and how many entries they ever had."""
    with lists() as kept:
        entries = [one for one in kept.entries(shop.tenant, shop.module.name) if is_known(one.entry)]
    spells = [
        Spell(one.entry, one.added_at, min(one.entry.until, _NEVER if one.removed_at is None else one.removed_at))
        for one in entries
    ]
    return ListsThen(shop.module, spells), len(spells)


@contextmanager
def growing(path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """A Parquet file that rows are added to; it is there, whole, at the end. InvalidInput where that cannot be."""
    try:
        with publishing(path) as staging, pq.ParquetWriter(staging, schema, compression="zstd") as writer:
            yield writer.write_table
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written ({error.strerror}): name another place") from error
