"""What Feast registers, built from a feature contract. Read by Feast's own command line; flows do the same in process.

FRADECT_HOME says where the files lie (Feast needs absolute paths), FRADECT_TENANT and FRADECT_CONTRACT whose
(default, ecommerce/standard).
"""

import os
from pathlib import Path

import fradect.quiet  # noqa: F401  first of all: telemetry off
from fradect.adapters.feast_store import define
from fradect.adapters.places import Places
from fradect.errors import InvalidInput
from fradect.modules import contract_of

if not os.path.isabs(os.environ.get("FRADECT_HOME", "")):
    raise InvalidInput("FRADECT_HOME: give the absolute path that feature_store.yaml is to use, e.g. $PWD/.fradect")

_contract = contract_of(os.environ.get("FRADECT_CONTRACT", "ecommerce/standard"))
_places = Places(Path(os.environ["FRADECT_HOME"]), _contract.module, os.environ.get("FRADECT_TENANT", "default"))
_places.feast.mkdir(parents=True, exist_ok=True)
_definitions = define(_contract, _places)

customer = _definitions.customer
transaction = _definitions.transaction
customer_features = _definitions.customer_features
transaction_features = _definitions.transaction_features
derived_features = _definitions.derived_features
service = _definitions.service
