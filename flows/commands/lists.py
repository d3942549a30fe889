"""`fradect lists`: who is always refused, or spared what a model says; a service follows within seconds."""

import csv
import getpass
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows import screen
from flows.commands.options import JSON, MODULE, TENANT
from flows.fitting import counted
from flows.moments import moment
from flows.wiring import workshop
from flows.wiring.lists import Change, Kept, lists
from fradect.errors import InvalidInput, NotFound
from fradect.events import clean_text
from fradect.faults import Fault
from fradect.lists import FOR_EVER, Entry, ListName, canonical
from fradect.modules import module_of

LIST = typer.Argument(help="allow or deny.")
KIND = typer.Argument(help="What the value is: customer, device, card, ip or email_domain.")
VALUE = typer.Argument(help="As requests send it; of ip an address or a range in CIDR, of email_domain what follows @.")
FILE = typer.Option(help="A CSV instead of one value: value[,until[,note]] in each line; # begins a comment.")
UNTIL = typer.Option(help="When it ends: 2027-01-01 or 2027-01-01T12:00:00Z; without it, when it is removed.")
NOTE = typer.Option(help="Why, for whoever reads the list later.")
BY = typer.Option(help="Who does it; by default whoever is logged in.")
ALL = typer.Option("--all", help="Also what was removed or has expired.")

MOST = 200_000  # entries of one file
_SHOWN_FAULTS = 10

app = typer.Typer(no_args_is_help=True, help="Allow and deny lists of a tenant. Rules read them as signal.deny_device.")


@app.command()
def add(  # noqa: PLR0913, PLR0917  each is an option of the command line
    name: Annotated[ListName, LIST],
    kind: Annotated[str, KIND],
    value: Annotated[str | None, VALUE] = None,
    file: Annotated[Path | None, FILE] = None,
    until: Annotated[str | None, UNTIL] = None,
    note: Annotated[str, NOTE] = "",
    by: Annotated[str | None, BY] = None,
    module: Annotated[str, MODULE] = "ecommerce",
    tenant: Annotated[str, TENANT] = "demo",
) -> None:
    """Put a value on a list, or all of a file. A value that is there already gets the new end and note."""
    workshop(module, tenant)
    if (value is None) == (file is None):
        raise InvalidInput("give a value, or --file with many", field="value")
    now = _now()
    lines = _lines(file) if file is not None else [(1, (value or "", "", ""))]
    blank = Entry(tenant, module, name, kind, "", _end(until, now))
    found = _checked(blank, lines, now, None if file is None else file.name)
    with lists() as kept:
        noted = [(entry, its_note or _noted(note)) for entry, its_note in found.values()]
        replaced = kept.add(noted, Change(_who(by), now))
    Console().print(f"{len(found):,} on the {name} list ({kind}, {tenant}), {replaced:,} of them were there before")


@app.command()
def remove(  # noqa: PLR0913, PLR0917  each is an option of the command line
    name: Annotated[ListName, LIST],
    kind: Annotated[str, KIND],
    value: Annotated[str, VALUE],
    by: Annotated[str | None, BY] = None,
    module: Annotated[str, MODULE] = "ecommerce",
    tenant: Annotated[str, TENANT] = "demo",
) -> None:
    """Take a value off a list. That it was there, and who took it off, stays on record."""
    workshop(module, tenant)
    entry = Entry(tenant, module, name, kind, canonical(module_of(module), kind, value))
    with lists() as kept:
        if not kept.remove(entry, Change(_who(by), _now())):
            raise NotFound(f"{entry.value} is not on the {name} list ({kind}, {tenant}): see `fradect lists show`")
    Console().print(f"{entry.value} is off the {name} list ({kind}, {tenant})")


@app.command()
def show(
    name: Annotated[ListName | None, LIST] = None,
    all_: Annotated[bool, ALL] = False,
    module: Annotated[str, MODULE] = "ecommerce",
    tenant: Annotated[str, TENANT] = "demo",
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """What is on the lists, since when, until when, by whom and why."""
    workshop(module, tenant)
    now = _now()
    with lists() as kept:
        entries = [one for one in kept.entries(tenant, module) if name in (None, one.entry.list)]
    shown = [one for one in entries if all_ or one.in_force(now)]
    screen.leave_json(json, {"entries": [_figures(one, now) for one in shown]})
    columns = ("value", "list", "kind", "since (UTC)", "until (UTC)", "by", "note", "")
    title = f"{counted(len(shown), 'entry')} of {tenant}, {module}"
    Console().print(screen.table(title, columns, [_line(one, now) for one in shown]))


def _checked(
    blank: Entry, lines: Sequence[tuple[int, tuple[str, str, str]]], now: int, file: str | None
) -> dict[str, tuple[Entry, str]]:
    """Entries and notes by value, the last line of a value counts; InvalidInput names the lines that are wrong."""
    found: dict[str, tuple[Entry, str]] = {}
    wrong: list[str] = []
    for number, (value, until, note) in lines:
        try:
            text = canonical(module_of(blank.module), blank.kind, value)
            end = _end(until, now) if until else blank.until
            found[text] = Entry(blank.tenant_id, blank.module, blank.list, blank.kind, text, end), _noted(note)
        except InvalidInput as error:
            if file is None:
                raise
            wrong.append(f"line {number}: {error}")
    if wrong:
        more = f"; and {len(wrong) - _SHOWN_FAULTS} more" if len(wrong) > _SHOWN_FAULTS else ""
        raise InvalidInput(f"{file}, nothing was added: {'; '.join(wrong[:_SHOWN_FAULTS])}{more}", field="file")
    return found


def _lines(path: Path) -> list[tuple[int, tuple[str, str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            found = list(_cells(csv.reader(file)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path} cannot be read ({error}): give a CSV of values", field="file") from error
    if not 0 < len(found) <= MOST:
        raise InvalidInput(f"{path} has {len(found):,} values: give 1 to {MOST:,}", field="file")
    return found


def _cells(rows: Iterator[list[str]]) -> Iterator[tuple[int, tuple[str, str, str]]]:
    for number, row in enumerate(rows, start=1):
        if row and row[0].strip() and not row[0].startswith("#"):
            value, until, note = (*(cell.strip() for cell in row[:3]), "", "")[:3]
            yield number, (value, until, note)


def _end(text: str | None, now: int) -> int:
    end = moment("until", text)
    if end is not None and end <= now:
        raise InvalidInput(f"--until {text!r} is past: give a later day", field="until")
    return FOR_EVER if end is None else end


def _noted(text: str) -> str:
    try:
        return clean_text(text)
    except Fault as fault:
        raise fault.at("note") from None


def _who(by: str | None) -> str:
    return (by or getpass.getuser())[:256]


def _now() -> int:
    return time.time_ns() // 1000


def _figures(kept: Kept, now: int) -> dict[str, object]:
    entry = {**asdict(kept.entry), "until": None if kept.entry.until == FOR_EVER else kept.entry.until}
    return {**entry, **{k: v for k, v in asdict(kept).items() if k != "entry"}, "in_force": kept.in_force(now)}


def _line(kept: Kept, now: int) -> tuple[str, ...]:
    entry = kept.entry
    until = "" if entry.until == FOR_EVER else _day(entry.until)
    state = "" if kept.in_force(now) else f"removed by {kept.removed_by}" if kept.removed_at else "expired"
    return entry.value, entry.list, entry.kind, _day(kept.added_at), until, kept.added_by, kept.note, state


def _day(micros: int) -> str:
    return f"{datetime.fromtimestamp(micros / 1e6, UTC):%Y-%m-%d %H:%M}"
