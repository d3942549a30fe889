"""What is kept of customers to decide by, put away customer by customer: the live state, and features online."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import redis

from fradect.adapters.feast_online import Online, open_online
from fradect.adapters.places import Places
from fradect.adapters.pseudonyms import Pseudonyms
from fradect.adapters.state_upkeep import imported
from fradect.adapters.states import States
from fradect.errors import InvalidInput, Unavailable
from fradect.features.contract import Kind
from fradect.modules import MODULES
from fradect.modules.declaration import Module

CUSTOMER = "customer"


class Holdings:
    """Of one process. `adopted`: modules and tenants whose live state it uses; `state` is None while there is none."""

    def __init__(
        self, state: States | None, online_url: str, home: Path, adopted: Callable[[], Collection[tuple[str, str]]]
    ) -> None:
        self._state, self._online_url, self._home, self._adopted = state, online_url, home, adopted

    def numbers(self, tenant_id: str) -> dict[str, int]:
        """By module the highest number that was given: by the live state, or by an import before there was one."""
        return {module: max(self._given(tenant_id, module), self._logged(tenant_id, module)) for module in MODULES}

    def forget(self, tenant_id: str, customer_id: str) -> Mapping[str, int]:
        """By what was removed, how many; both are named, whatever was found."""
        removed = Counter({"live_state_keys": 0, "online_features": 0})
        for name, module in MODULES.items():
            if self._state is not None and (name, tenant_id) in self._adopted():
                removed["live_state_keys"] += self._state.forget(tenant_id, name, CUSTOMER, customer_id)
            removed["online_features"] += self._offline(module, tenant_id, customer_id)
        return removed

    def _given(self, tenant_id: str, module: str) -> int:
        return 0 if self._state is None else self._state.mark(tenant_id, module).last_seq

    def _logged(self, tenant_id: str, module: str) -> int:
        try:
            return imported(Places(self._home, module, tenant_id))
        except InvalidInput:  # a tenant whose name no folder has
            return 0

    def _offline(self, module: Module, tenant_id: str, customer_id: str) -> int:
        names = {feature.name for contract in module.contracts for feature in contract.of_kind(Kind.BATCH)}
        places = Places(self._home, module.name, tenant_id)
        online = open_online(self._online_url, places, sorted(names), patience=2.0)
        try:
            return _removed(online, Pseudonyms(places).of(customer_id))
        except (sqlite3.Error, redis.RedisError) as error:
            raise Unavailable(f"the feature store does not answer ({type(error).__name__}): ask again") from error
        finally:
            online.close()


def _removed(online: Online, customer_id: str) -> int:
    if online.filled() is None:
        return 0
    _, cells = online.read(customer_id)
    if cells:
        online.forget([customer_id])
    return len(cells)
