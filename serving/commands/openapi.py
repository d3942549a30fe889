"""`fradect openapi`."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from fradect.errors import InvalidInput
from serving.openapi import document
from serving.openapi_changes import breaking


def openapi(
    against: Annotated[
        Path | None, typer.Option(help="An older description: say what breaks its callers, exit code 1 if anything.")
    ] = None,
) -> None:
    """Print the description of the HTTP interface (OpenAPI 3.1, JSON), as the service shows it at /openapi.json."""
    if against is None:
        sys.stdout.write(printed())
        return
    found = breaking(_read(against), msgspec.json.decode(document()))
    for change in found:
        typer.echo(change)
    typer.echo(f"{len(found)} changes break callers of {against}")
    raise typer.Exit(1 if found else 0)


def printed() -> str:
    """As docs/openapi.json holds it."""
    return msgspec.json.format(document(), indent=1).decode() + "\n"


def _read(file: Path) -> dict[str, object]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, object])
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read ({error.strerror}): give what `fradect openapi` printed") from error
    except msgspec.DecodeError as error:
        raise InvalidInput(f"{file} is no description ({error}): give what `fradect openapi` printed") from error
