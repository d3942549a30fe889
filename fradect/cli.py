"""The `fradect` command. Each subcommand is loaded by its module path when it is called, so that help is instant."""

import importlib
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import typer
from typer.exceptions import TyperException

from fradect.errors import FradectError
from fradect.masking import guard_logs, masked

ABOUT = """Risk decisions from rules and models, released as one and proven before they go live.

All state lives under FRADECT_HOME (default .fradect). Start with `fradect pipeline --help`.
"""


class Command(NamedTuple):
    """Where a subcommand lives (`module:attribute`, a function or a Typer app) and its line in the help."""

    path: str
    help: str


COMMANDS: Mapping[str, Command] = {
    "simulate": Command(
        "flows.commands.simulate:simulate", "Make a history of purchases, fraud among them, to try things on."
    ),
    "import": Command("flows.commands.import_:import_", "Bring CSV or Parquet files into the event log."),
    "ingest": Command(
        "flows.commands.ingest:ingest", "Take events and outcomes from Kafka, or a folder, as they come."
    ),
    "pipeline": Command(
        "flows.commands.pipeline:pipeline", "Run everything: ingest, validate, materialise, train, promote."
    ),
    "train": Command(
        "flows.commands.train:train", "Train a candidate release on the log, evaluate it, write its card."
    ),
    "promote": Command(
        "flows.commands.promote:promote", "Take a release a step further: shadow, canary, champion, as evidence allows."
    ),
    "backtest": Command(
        "flows.commands.backtest:backtest", "Try a release on past events beside the champion: what changes, and why."
    ),
    "replay": Command(
        "flows.commands.replay:replay", "Play history through the live path and compare every feature, bit for bit."
    ),
    "serve": Command("serving.commands.serve:serve", "Start the scoring service over HTTP."),
    "score": Command("serving.commands.score:score", "Send one purchase to the running service and show its decision."),
    "batch": Command("flows.commands.batch:app", "Have the running service decide a file, row by row."),
    "openapi": Command("serving.commands.openapi:openapi", "Print the description of the HTTP interface (OpenAPI)."),
    "decisions": Command("flows.commands.decisions:app", "Show what was decided, and make it again, byte for byte."),
    "outcomes": Command("flows.commands.outcomes:app", "Tell what decisions turned out to be, a file at a time."),
    "customers": Command(
        "flows.commands.customers:app", "One customer: how risky, everything that is held, erased for good."
    ),
    "state": Command("flows.commands.state:app", "What the live state holds; make it anew from what is stored."),
    "drift": Command("flows.commands.drift:drift", "Compare live traffic with what the champion was trained on."),
    "skew": Command("flows.commands.skew:skew", "Recompute the features that decisions were made with, from the log."),
    "release": Command("flows.commands.release:app", "List, show, compare, edit; promote, roll back, see the history."),
    "rules": Command("flows.commands.rules:app", "Check a rulebook, and try it on the examples beside it."),
    "ledger": Command("flows.commands.ledger:app", "Prove that no decision was changed, removed or put in since."),
    "lists": Command("flows.commands.lists:app", "Allow and deny lists: add, remove, show."),
    "keys": Command("flows.commands.keys:app", "API keys: create, list, rotate, revoke."),
    "demo": Command("flows.commands.demo:demo", "The whole story on one screen; `make demo` calls it."),
    "tour": Command("flows.commands.tour:tour", "A release that decays, one that takes over, one that is caught."),
}


def build(chosen: str | None) -> typer.Typer:
    """The command line, with the real code behind `chosen` and the help lines alone behind the others."""
    app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode="rich", help=ABOUT)
    app.callback()(_about)
    for name, command in COMMANDS.items():
        target = _load(command.path) if name == chosen else _placeholder
        if isinstance(target, typer.Typer):
            app.add_typer(target, name=name, help=command.help)
        else:
            app.command(name, short_help=command.help, no_args_is_help=False)(target)
    return app


def _about() -> None:
    pass  # Typer needs a callback to treat a single command as a subcommand


def _placeholder() -> None:
    raise AssertionError("a subcommand that was not chosen was called")


def _load(path: str) -> Any:
    module, attribute = path.split(":")
    return getattr(importlib.import_module(module), attribute)


def main() -> None:
    """Run the command line. Wrong input is one line on standard error and exit code 2."""
    guard_logs()
    try:
        code = build(sys.argv[1] if len(sys.argv) > 1 else None)(standalone_mode=False)
    except FradectError as error:
        _stop(str(error))
    except TyperException as error:
        if len(sys.argv) == 1:
            sys.exit(0)  # the help has been shown
        named = sys.argv[1] + " " if sys.argv[1:] and sys.argv[1] in COMMANDS else ""
        _stop(f"{error.format_message()} See `fradect {named}--help`.")
    except typer.Abort:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _stop(message: str) -> None:
    sys.stderr.write("fradect: " + masked(" ".join(message.split())) + "\n")
    sys.exit(2)
