"""The main job, start to end. Read this file first: each line is a stage, each stage a file beside this one."""

from dataclasses import dataclass

from prefect import flow

from flows.evaluate import evaluate
from flows.ingest import ingest
from flows.materialise import materialise
from flows.promote import promote
from flows.train import train
from flows.validate import validate
from flows.wiring import workshop


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: the candidate, and whether it is champion now (if not, why), or is tried beside the champion."""

    module: str
    tenant: str
    release_id: str
    promoted: bool
    reason: str
    in_shadow: bool = False


def pipeline(source: str, mapping: str, until: str | None = None, trials: int = 12, seed: int = 7) -> Outcome:
    """Raw files in, a release out, champion if its gates pass.

    `source`: a CSV or Parquet file, or a folder of them; `mapping`: its YAML; `until`: leave out events from
    this moment (ISO 8601, UTC) on.
    """
    imported = ingest(source, mapping, until)
    validate(imported.module, imported.tenant)
    return retrain(imported.module, imported.tenant, trials, seed, until)


def retrain(module: str, tenant: str, trials: int = 12, seed: int = 7, until: str | None = None) -> Outcome:
    """A new candidate from the log as it is, champion if its gates pass, or in the shadow where the champion's policy
    asks for stages. `until`: as `materialise`."""
    materialise(module, tenant, until)
    release_id = train(module, tenant, trials, seed)
    evaluate(module, tenant, release_id, seed)
    promoted, reason = promote(module, tenant, release_id)
    now = workshop(module, tenant).releases.rollout(module, tenant)
    in_shadow = now is not None and now.challenger == release_id
    return Outcome(module, tenant, release_id, promoted, reason, in_shadow)


pipeline_flow = flow(name="pipeline", log_prints=True)(pipeline)
training_flow = flow(name="training", log_prints=True)(retrain)
