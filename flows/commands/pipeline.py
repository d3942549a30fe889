"""`fradect pipeline`."""

from pathlib import Path
from typing import Annotated

import typer

from flows import screen
from flows.commands.options import JSON, MAPPING, SEED, TRIALS, UNTIL
from flows.pipeline import pipeline as run_pipeline
from flows.progress import shown
from flows.wiring import workshop


def pipeline(  # noqa: PLR0913, PLR0917  one option each
    source: Annotated[str, typer.Argument(help="A CSV or Parquet file, a folder of them, or s3://bucket/path.")],
    mapping: Annotated[str, MAPPING],
    until: Annotated[str | None, UNTIL] = None,
    trials: Annotated[int, TRIALS] = 12,
    seed: Annotated[int, SEED] = 7,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Raw files in, a proven release out: ingest, validate, materialise, train, evaluate, promote.

    The release becomes champion by its gates on history; where the champion's policy asks for stages
    (limits.stages.always) it goes into the shadow. Exit code 1 when a gate kept it from either.
    """
    with shown():
        outcome = run_pipeline(source, mapping, until, trials, seed)
    screen.outcome(workshop(outcome.module, outcome.tenant), outcome, json)
    if not (outcome.promoted or outcome.in_shadow):
        raise typer.Exit(1)
