"""Customers as analysts meet them: by a keyed hash of the merchant's id, in whatever is derived of the log.

Features, snapshots, training sets and the feature store hold pseudonyms; log, ledger and live state the ids. A
pseudonym is the same wherever the tenant's customer appears, another in every tenant and home, and another than what
the customer's keys are filed under.
"""

import pyarrow as pa

from fradect.adapters.places import Places
from fradect.adapters.vault import HomeVault

_WHAT = "pseudonym/customer_id"


class Pseudonyms:
    """Of one tenant. `key_id` names the home's key that they are made with."""

    def __init__(self, places: Places) -> None:
        self._vault, self._tenant = HomeVault(places.home), places.tenant
        self.key_id = self._vault.key_id

    def of(self, customer_id: str) -> str:
        return self._vault.named(self._tenant, _WHAT, customer_id)

    def column(self, ids: pa.Array | pa.ChunkedArray) -> pa.Array:
        """Each id's; null where there is none. Every one of the column's customers is hashed once."""
        whole = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
        coded = whole if isinstance(whole, pa.DictionaryArray) else whole.dictionary_encode()
        return pa.array([self.of(one) for one in coded.dictionary.to_pylist()], pa.string()).take(coded.indices)
