"""What the ledger knows of declines that were let through, laid over events by their ids."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flows.wiring import Workshop
from fradect.adapters.drawn_declines import DrawnDeclines, drawn_declines


@dataclass(frozen=True, slots=True)
class Drawn:
    """Declines of a tenant's module."""

    declines: DrawnDeclines

    def over(self, event_ids: Iterable[str]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """For each event by what chance its label could become known, and whether it was let through."""
        ids, chances = list(event_ids), self.declines.chance
        chance = np.array([chances.get(one, 1.0) for one in ids], np.float64)
        return chance, np.array([one in self.declines.let_through for one in ids], np.bool_)


def drawn(shop: Workshop) -> Drawn | None:
    """None where nothing was ever drawn."""
    found = drawn_declines(shop.settings.ledger_url, (shop.tenant, shop.module.name))
    return None if found is None else Drawn(found)
