"""`fradect import`."""

from pathlib import Path
from typing import Annotated

import typer

from flows import screen
from flows.commands.options import JSON, MAPPING, UNTIL
from flows.ingest import ingest
from flows.progress import shown


def import_(
    path: Annotated[str, typer.Argument(help="A CSV or Parquet file, a folder of them, or s3://bucket/path.")],
    mapping: Annotated[str, MAPPING],
    until: Annotated[str | None, UNTIL] = None,
    max_rejected: Annotated[float, typer.Option(min=0.0, max=1.0, help="Stop above this share of bad rows.")] = 0.05,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Bring events into the log. Rows that cannot be taken go to quarantine with reason and row number.

    Importing the same file twice changes nothing. A folder is read file by file, in order of name.
    """
    with shown():
        report = ingest(path, mapping, until, max_rejected)
    screen.imported(report, json)
