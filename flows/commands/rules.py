"""`fradect rules`: whether a rulebook is sound, and whether it finds in its examples what it should."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows import screen
from flows.commands.options import JSON, MODULE
from fradect import rules
from fradect.errors import InvalidInput
from fradect.modules import module_of
from fradect.rulebook.examples import Coverage, Tried, read_examples, try_examples
from fradect.settings import PROJECT

FILE = typer.Argument(help="A rulebook in GoRules JDM; by default the one that the module ships with.")
EXAMPLES = typer.Option(help="The examples; by default those beside the rulebook: NAME.examples.yaml.")

app = typer.Typer(no_args_is_help=True, help="Check a rulebook, and try it on the examples beside it.")


@app.command()
def check(
    file: Annotated[Path | None, FILE] = None,
    module: Annotated[str, MODULE] = "ecommerce",
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Everything that is wrong with a rulebook, a line each; exit code 2 when there is anything.

    A release with such a rulebook is neither trained, nor promoted, nor served.
    """
    path = _rulebook(file, module)
    problems = rules.check(_read(path), module_of(module))
    screen.leave_json(json, {"rulebook": path.name, "problems": [asdict(problem) for problem in problems]})
    if problems:
        typer.echo("\n".join(f"{path.name}: {problem}" for problem in problems), err=True)
        raise typer.Exit(2)
    found = rules.load(_read(path), module_of(module))
    Console().print(f"{path.name}: {len(found.rules)} rules in {len(found.catch_alls)} tables, nothing wrong")


@app.command("test")
def try_(
    file: Annotated[Path | None, FILE] = None,
    module: Annotated[str, MODULE] = "ecommerce",
    examples: Annotated[Path | None, EXAMPLES] = None,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Try a rulebook on its examples. Exit code 1 when one finds something else, or a rule is never hit or missed."""
    path = _rulebook(file, module)
    beside = examples or path.with_name(f"{path.stem}.examples.yaml")
    tried = try_examples(_read(path), read_examples(_read(beside)), module_of(module))
    screen.leave_json(json, {**asdict(tried), "passed": tried.passed})
    _show(tried)
    if not tried.passed:
        raise typer.Exit(1)


def _show(tried: Tried) -> None:
    console = Console()
    rows = [(c.rule, *(f"{n:,}" for n in (c.hit, c.missed, c.could_not_run)), _verdict(c)) for c in tried.coverage]
    columns = ("rule", "hit", "missed", "could not run", "")
    console.print(screen.table(f"{tried.examples} examples", columns, rows))
    for line in tried.failed:
        console.print(line, style="red", markup=False, highlight=False)


def _verdict(coverage: Coverage) -> str:
    if coverage.enough:
        return ""
    return "no example hits it" if not coverage.hit else "no example misses it"


def _rulebook(file: Path | None, module: str) -> Path:
    return file or PROJECT / "rulebooks" / module_of(module).rulebook


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror}): name another file", "file") from error
