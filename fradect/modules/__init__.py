"""Modules: kinds of risk, as declarations. Nothing else in FRADECT knows one by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fradect.errors import InvalidInput
from fradect.features.contract import Contract, check
from fradect.modules import ecommerce
from fradect.modules.declaration import Module

MODULES: Mapping[str, Module] = MappingProxyType({ecommerce.MODULE.name: ecommerce.MODULE})


@dataclass(frozen=True, slots=True)
class _Index:
    contracts: Mapping[str, Contract]


def _index() -> _Index:
    contracts = {c.name: c for module in MODULES.values() for c in module.contracts}
    for module in MODULES.values():
        for contract in module.contracts:
            check(contract, set(module.columns), set(module.entities))
    return _Index(MappingProxyType(contracts))


_INDEX = _index()


def module_of(name: str) -> Module:
    if name not in MODULES:
        raise InvalidInput(f"module {name!r} is unknown: choose from {', '.join(MODULES)}", field="module")
    return MODULES[name]


def contract_of(name: str) -> Contract:
    if name not in _INDEX.contracts:
        raise InvalidInput(f"contract {name!r} is unknown: choose from {', '.join(_INDEX.contracts)}", field="contract")
    return _INDEX.contracts[name]
