"""`fradect outcomes`: what decisions turned out to be, told a file at a time."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows.commands.options import JSON, MODULE, TENANT
from flows.outcomes import Taken, take
from flows.progress import shown
from flows.screen import leave_json, table
from flows.wiring.telling import Asked, opened
from fradect.outcome_rows import Format

FILE = typer.Argument(help="CSV, Parquet or JSON lines (.csv, .csv.gz, .parquet, .ndjson, .jsonl).")
FORMAT = typer.Option("--format", help="What its rows are.")
MAPPING = typer.Option(help="A YAML file that says which columns and words the file uses, where they differ.")
URL = typer.Option(help="The service; default: FRADECT_HOST and FRADECT_PORT.")

app = typer.Typer(no_args_is_help=True, help="Tell what decisions turned out to be.")


@app.callback()
def _about() -> None:
    pass  # Typer needs a callback to treat a single command as a subcommand


@app.command("import")
def import_(  # noqa: PLR0913, PLR0917  one option each
    file: Annotated[Path, FILE],
    kind: Annotated[Format, FORMAT] = Format.OUTCOMES,
    mapping: Annotated[Path | None, MAPPING] = None,
    module: Annotated[str, MODULE] = "ecommerce",
    tenant: Annotated[str, TENANT] = "demo",
    url: Annotated[str | None, URL] = None,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Tell the running service what decisions turned out to be. The same file again changes nothing.

    Columns: transaction_id or decision_id, outcome (confirmed_fraud, false_positive, unknown), and if you have them
    known_at and note.

    Of chargebacks (--format chargeback): transaction_id or decision_id, reason_code, chargeback_date.
    Visa's 10.x and Mastercard's 4837 and 4863 are fraud; other reasons are counted and left alone.

    Rows that cannot be taken go to quarantine, each with its reason. More in docs/concepts/decisions.md.

    [bold]fradect outcomes import chargebacks.csv --format chargeback[/bold]
    """
    with shown(), opened(Asked(file, kind, mapping, module, tenant, url)) as work:
        taken = take(work.rows, work.desk)
    reasons = Counter(str(reject.reason) for reject in taken.rejects)
    leave_json(json, {**_figures(taken), "reasons": dict(reasons)})
    console = Console()
    console.print(table("Taken", ("", "rows"), [(_WORDS[name], f"{n:,}") for name, n in _figures(taken).items()]))
    if reasons:
        console.print(table("Rejected", ("reason", "rows"), [(why, f"{n:,}") for why, n in reasons.most_common()]))
        console.print(f"Quarantine: {work.quarantine}")


_WORDS = {
    "rows": "rows",
    "told": "told",
    "ignored": "chargebacks that are no fraud",
    "rejected": "rejected",
}


def _figures(taken: Taken) -> dict[str, int]:
    return {"rows": taken.rows, "told": taken.told, "ignored": taken.ignored, "rejected": len(taken.rejects)}
