"""`fradect train`."""

from pathlib import Path
from typing import Annotated

import typer

from flows import screen
from flows.commands.options import JSON, MODULE, SEED, TENANT, TRIALS
from flows.evaluate import evaluate
from flows.materialise import materialise
from flows.progress import shown
from flows.train import train as train_release
from flows.wiring import workshop

AMOUNT_BANDS = typer.Option(
    "--amount-band", help="Choose thresholds apart below and above this amount, in major units; may be repeated."
)


def train(  # noqa: PLR0913, PLR0917  one option each
    module: Annotated[str, MODULE] = "ecommerce",
    tenant: Annotated[str, TENANT] = "demo",
    trials: Annotated[int, TRIALS] = 12,
    seed: Annotated[int, SEED] = 7,
    amount_bands: Annotated[list[float] | None, AMOUNT_BANDS] = None,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Train a candidate on what the log holds and evaluate it. Nothing is promoted."""
    shop = workshop(module, tenant)
    with shown():
        materialise(module, tenant)
        release_id = train_release(module, tenant, trials, seed, tuple(amount_bands or ()))
        evaluate(module, tenant, release_id, seed)
    screen.candidate(shop, release_id, json)
