"""What the service decided, read from the ledger beside it."""

from flows.wiring import Workshop
from fradect.adapters.ledger_reads import LedgerReads, Traffic
from fradect.features.contract import Contract


def decided_by(shop: Workshop, contract: Contract, release_id: str) -> Traffic:
    """Every decision of a release for this tenant, oldest first."""
    return LedgerReads.at(shop.settings.ledger_url).traffic(shop.tenant, shop.module.name, contract, release_id)
