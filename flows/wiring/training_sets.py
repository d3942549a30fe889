"""Training sets on disk, read without what it took to build them."""

from pathlib import Path
from typing import Any

from fradect.adapters.training_store import read_training_set
from fradect.features.contract import Contract
from fradect.modules.declaration import Module


def read(path: Path, module: Module, contract: Contract) -> dict[str, Any]:
    """The fields of `training.dataset.Dataset`."""
    return read_training_set(path, module, contract)
