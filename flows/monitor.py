"""Monitor: live traffic against what the champion was trained on."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from prefect import flow

from flows.progress import stage as announced
from flows.stage import stage
from flows.wiring import Workshop, leave_bytes, workshop
from flows.wiring.traffic import decided_by
from fradect.errors import NotFound
from fradect.features.contract import Contract
from fradect.types import Action
from monitoring.drift import drift as compare
from monitoring.verdict import DriftVerdict


@dataclass(frozen=True, slots=True)
class DriftFound:
    """The verdict and where the pictures are."""

    release_id: str
    verdict: DriftVerdict
    page: Path
    file: Path

    @property
    def drifted(self) -> bool:
        return bool(self.verdict.drifted)


@stage()
def drift(module: str, tenant: str) -> DriftFound:
    """Everything the champion decided, compared with its reference; HTML and JSON left under reports/."""
    with announced("drift") as result:
        shop = workshop(module, tenant)
        release_id = shop.releases.champion(module, tenant)
        if release_id is None:
            raise NotFound(f"{tenant!r} has no champion of {module}: `fradect promote` a release first")
        contract = shop.releases.load(release_id).contract
        reference = _reference(shop, release_id)
        report = compare(reference, _traffic(shop, contract, release_id), contract)
        page, file = shop.reports / "drift.html", shop.reports / "drift.json"
        leave_bytes(page, report.html)
        leave_bytes(file, report.verdict.to_json())
        result.words = f"{report.verdict.answer}: {report.verdict.reason}"
    return DriftFound(release_id, report.verdict, page, file)


def _reference(shop: Workshop, release_id: str) -> pd.DataFrame:
    path = shop.evidence(release_id) / "reference.parquet"
    if not path.is_file():
        raise NotFound(f"release {release_id} has no training reference: `fradect train` leaves one")
    return pd.read_parquet(io.BytesIO(path.read_bytes()))


def _traffic(shop: Workshop, contract: Contract, release_id: str) -> pd.DataFrame:
    traffic = decided_by(shop, contract, release_id)
    columns: Mapping[str, object] = {name: traffic.vectors[:, i] for i, name in enumerate(contract.names)}
    names = [Action(code).name for code in traffic.actions.tolist()]
    return pd.DataFrame({**columns, "score": traffic.scores, "action": names, "event_time": traffic.decided_at})


drift_flow = flow(name="drift", log_prints=True)(drift)
