"""`fradect batch`: files decided by the running service."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows.batch import KINDS, Asked, Batches, Job, follow, score_file
from flows.commands.options import JSON
from flows.fitting import counted
from flows.progress import shown
from flows.screen import leave_json, table
from flows.wiring.batching import door

FILE = typer.Argument(help=f"Rows to be decided: a file that ends in {', '.join(KINDS)}.")
RESULT = typer.Option(help="Where what came of every row goes: a file that ends in .ndjson, .jsonl or .csv.")
TENANT = typer.Option(help="Whose key to use, of those under FRADECT_HOME/keys.")
KEY_FILE = typer.Option(help="A file that holds the API key to use instead.")
URL = typer.Option(help="The service; default: FRADECT_HOST and FRADECT_PORT.")
FACTORS = typer.Option("--factors", help="With the reasons of every decision, which take several times as long.")
JOB = typer.Argument(help="The job's id, such as job_0637...")

app = typer.Typer(no_args_is_help=True, help="Have files of purchases decided by the running service.")


@app.command()
def score(  # noqa: PLR0913, PLR0917  one option each
    file: Annotated[Path, FILE],
    result: Annotated[Path | None, RESULT] = None,
    module: Annotated[str, typer.Option(help="The kind of risk.")] = "ecommerce",
    factors: Annotated[bool, FACTORS] = False,
    tenant: Annotated[str, TENANT] = "demo",
    key_file: Annotated[Path | None, KEY_FILE] = None,
    url: Annotated[str | None, URL] = None,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Decide every row of FILE and write what came of each.

    Lines of JSON are bodies of score requests. Columns of CSV and Parquet are paths of one:
    transaction.transaction_id, transaction.amount, transaction.currency, transaction.customer_id, and as many of
    transaction.device.ip, transaction.card.token, context.channel and the others as there are. A row that cannot be
    decided stops nothing: the result says why, with its number.

    Interrupt it whenever you like: the service goes on, and `fradect batch follow JOB` takes up from there. A row
    whose transaction_id was decided before gets the decision it has.

    Example: fradect batch score purchases.csv --result decided.csv
    """
    out = result or file.with_name(f"{file.stem}.decided.ndjson")
    with shown():
        scored = score_file(file, out, Asked(module, factors), door(tenant, url, key_file))
    _say([scored.job], json)


@app.command("follow")
def follow_(  # noqa: PLR0913, PLR0917  one option each
    job: Annotated[str, JOB],
    result: Annotated[Path | None, RESULT] = None,
    tenant: Annotated[str, TENANT] = "demo",
    key_file: Annotated[Path | None, KEY_FILE] = None,
    url: Annotated[str | None, URL] = None,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Wait for a job that was submitted before, and bring its result."""
    with _batches(tenant, url, key_file) as batches, shown():
        scored = follow(batches, batches.job(job), result)
    _say([scored.job], json)


@app.command()
def cancel(
    job: Annotated[str, JOB],
    tenant: Annotated[str, TENANT] = "demo",
    key_file: Annotated[Path | None, KEY_FILE] = None,
    url: Annotated[str | None, URL] = None,
) -> None:
    """Decide nothing more of a job; what was decided stays so."""
    with _batches(tenant, url, key_file) as batches:
        _say([batches.cancel(job)], None)


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 20,
    tenant: Annotated[str, TENANT] = "demo",
    key_file: Annotated[Path | None, KEY_FILE] = None,
    url: Annotated[str | None, URL] = None,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Jobs, the newest first."""
    with _batches(tenant, url, key_file) as batches:
        _say(batches.jobs(limit), json)


@contextmanager
def _batches(tenant: str, url: str | None, key_file: Path | None) -> Iterator[Batches]:
    batches = Batches(door(tenant, url, key_file))
    try:
        yield batches
    finally:
        batches.close()


_COLUMNS = ("job", "status", "rows", "done", "approve", "review", "decline", "rejected", "a second", "made")


def _say(jobs: list[Job], json: Path | None) -> None:
    leave_json(json, {"jobs": jobs})
    Console().print(table(counted(len(jobs), "job"), _COLUMNS, [_line(job) for job in jobs]))


def _line(job: Job) -> tuple[str, ...]:
    counts = (job["total"], job["done"], *job["decisions"].values(), job["rejected"])
    speed = job["items_per_second"]
    many = "" if speed is None else f"{speed:,.0f}"
    return job["job_id"], job["status"].lower(), *(f"{count:,}" for count in counts), many, job["created_at"][:19]
