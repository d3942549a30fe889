"""The main job, start to end. Read this file first: each line is a stage, each stage a file beside this one."""

from dataclasses import dataclass

from prefect import flow

from flows.evaluate import evaluate
from flows.ingest import ingest
from flows.materialise import materialise
from flows.promote import promote
from flows.train import train
from flows.validate import validate


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: the candidate, and whether it is champion now (if not, why)."""

    module: str
    tenant: str
    release_id: str
    promoted: bool
    reason: str


def pipeline(source: str, mapping: str, until: str | None = None, trials: int = 12, seed: int = 7) -> Outcome:
    """Raw files in, a release out, champion if its gates pass.

    `source`: a CSV or Parquet file, or a folder of them; `mapping`: its YAML; `until`: leave out events from
    this moment (ISO 8601, UTC) on.
    """
    imported = ingest(source, mapping, until)
    validate(imported.module, imported.tenant)
    return retrain(imported.module, imported.tenant, trials, seed, until)


def retrain(module: str, tenant: str, trials: int = 12, seed: int = 7, until: str | None = None) -> Outcome:
    """A new candidate from the log as it is, champion if its gates pass. `until`: as `materialise`."""
    materialise(module, tenant, until)
    release_id = train(module, tenant, trials, seed)
    evaluate(module, tenant, release_id, seed)
    promoted, reason = promote(module, tenant, release_id)
    return Outcome(module, tenant, release_id, promoted, reason)


pipeline_flow = flow(name="pipeline", log_prints=True)(pipeline)
training_flow = flow(name="training", log_prints=True)(retrain)
