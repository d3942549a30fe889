"""Options that several commands share."""

from datetime import date

import typer

from fradect.errors import InvalidInput

MODULE = typer.Option(help="The kind of risk.")
TENANT = typer.Option(help="Whose events; a mapping names the tenant it fills.")
TRIALS = typer.Option(min=1, max=1000, help="Trials of the study; a study that was interrupted goes on.")
SEED = typer.Option(min=0, help="Same seed, same result.")
MAPPING = typer.Option(help="A YAML file, or the name of one that ships: simulator, handbook, ecommerce_extract.")
UNTIL = typer.Option(help="Leave out events from this moment on: 2018-09-01 or 2018-09-01T12:00:00Z.")
JSON = typer.Option("--json", help="Write the figures to this file as well.")


def day(option: str, text: str) -> date:
    """A day in ISO 8601."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"--{option} {text!r}: give a day such as 2025-03-01", field=option) from error
