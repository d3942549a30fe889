"""`fradect customers`: how risky one is, everything that is held of them, and erasing it."""

import getpass
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from flows.commands.options import JSON
from flows.screen import leave_json, table
from flows.wiring.one_customer import customer_files
from flows.wiring.one_customer import erase as destroy
from fradect.customers import Erasing, Export
from fradect.errors import InvalidInput, NotFound
from fradect.events import law_of
from fradect.faults import Fault
from fradect.modules.ecommerce import MODULE
from fradect.risk_profile import MOST, RiskProfileOut, risk_profile

ID = typer.Argument(metavar="CUSTOMER", help="The customer_id of purchases, as the merchant gave it.")
TENANT = typer.Option(help="Whose customer: ids of two tenants have nothing to do with each other.")
CLEAR_JSON = typer.Option(
    "--json", help="Write all of it to this file instead, as one document, for its owner alone to read."
)
YES = typer.Option("--yes", help="Do not ask whether it is meant.")
BY = typer.Option(help="Who asks for it, for the record; by default whoever is logged in.")

_law = law_of(next(field for field in MODULE.fields if field.name == "customer_id"))

app = typer.Typer(no_args_is_help=True, help="One customer: how risky, everything that is held, erased for good.")


@app.command()
def show(
    customer: Annotated[str, ID], tenant: Annotated[str, TENANT] = "demo", json: Annotated[Path | None, JSON] = None
) -> None:
    """How risky a customer is, the history behind it, and what to do by which rule. Nothing personal is shown."""
    customer_id = _checked(customer)
    with customer_files(tenant) as files:
        told = risk_profile(customer_id, *files.known(customer_id, MOST), _now())
    leave_json(json, msgspec.to_builtins(told))
    _show(told)


@app.command()
def export(
    customer: Annotated[str, ID],
    tenant: Annotated[str, TENANT] = "demo",
    json: Annotated[Path | None, CLEAR_JSON] = None,
) -> None:
    """Everything that is held of a customer, personal fields in clear: for the customer, and nobody else.

    Printed line by line (NDJSON): the customer's row, then {"purchase": ...} for what was decided, the newest first,
    then {"event": ...} for what came by imports and streams. A last line {"end": ...} says that it is whole. No file is
    left unless one is named.
    """
    customer_id = _checked(customer)
    with customer_files(tenant) as files:
        if json is None:
            sys.stdout.buffer.writelines(_lines(files.pages(customer_id)))
            sys.stdout.buffer.flush()
        else:
            _leave(json, _document(files.pages(customer_id)))


@app.command()
def erase(
    customer: Annotated[str, ID],
    tenant: Annotated[str, TENANT] = "demo",
    yes: Annotated[bool, YES] = False,
    by: Annotated[str | None, BY] = None,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Destroy a customer's keys, features and live state, and print the receipt. This cannot be undone.

    What was decided stays in the ledger, unreadable where it was personal, and the ledger's chain stays whole. The log
    is re-filed under a pseudonym by the next run of the flow `customers`. Asked again, the receipt is the same. Where a
    service holds the ledger, the service does it, and this waits.
    """
    customer_id = _checked(customer)
    if not yes:
        typer.confirm(f"Erase customer {customer_id} of tenant {tenant} for good?", abort=True, err=True)
    asked = Erasing(tenant, customer_id, (by or getpass.getuser())[:256], _now())
    receipt = destroy(asked, lambda: Console(stderr=True).print("the service is asked to do it", style="dim"))
    leave_json(json, msgspec.json.decode(receipt))
    Console(soft_wrap=True).print(msgspec.json.format(receipt, indent=1).decode(), markup=False, highlight=False)


def _checked(customer: str) -> str:
    try:
        found = _law(customer)
    except Fault as fault:
        raise InvalidInput(f"CUSTOMER: {fault}; give the customer_id of a purchase", "customer") from fault
    if not found or len(found) > 256:
        raise NotFound("no such customer")
    return str(found)


def _lines(pages: Iterator[Export]) -> Iterator[bytes]:
    count = 0
    for kind, one in _told(pages):
        yield msgspec.json.encode(one if kind == "head" else {kind: one}) + b"\n"
        count += kind != "head"
    yield msgspec.json.encode({"end": count}) + b"\n"


def _document(pages: Iterator[Export]) -> Iterator[bytes]:
    """The same as one object, whose lists are written as they come."""
    last = ""
    for kind, one in _told(pages):
        written = msgspec.json.encode(one)
        if kind == "head":
            yield written[:-1] + b',"purchases":['
        else:
            yield (b'],"events":[' if kind == "event" != last else b"," if last else b"") + written
            last = kind
    yield b"]}\n" if last == "event" else b'],"events":[]}\n'


def _told(pages: Iterator[Export]) -> Iterator[tuple[str, Any]]:
    for number, page in enumerate(pages):
        if number == 0:
            yield "head", {"customer": page.customer, "sources": page.sources}
        yield from (("purchase", one) for one in page.purchases)
        yield from (("event", one) for one in page.events)


def _leave(path: Path, document: Iterator[bytes]) -> None:
    """In place once all of it is there, and readable by its owner alone from the first byte on."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    first = next(document)  # nothing is written for who is not there
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(first)
            file.writelines(document)
        part.replace(path)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written ({error.strerror}): name another file", "json") from error
    finally:
        part.unlink(missing_ok=True)


def _show(told: RiskProfileOut) -> None:
    console = Console(soft_wrap=True)
    risk, history = told.ecommerce_risk, told.ecommerce_risk.history
    console.print(f"{told.customer_id}: {told.overall_risk}, fraud score {risk.fraud_score}", markup=False)
    rows: list[tuple[str, str]] = []
    if history is not None:
        rows = [(f"decisions: {name}", str(count)) for name, count in history.by_decision.items()]
        rows += [(f"outcomes: {name}", str(count)) for name, count in history.outcomes.items()]
        rows += [(f"different {name}", str(count)) for name, count in history.different.items() if count]
        rows += [(f"spent, {one.currency}", one.total) for one in history.spent]
        rows += _logged(history.log)
    console.print(table("", ("", ""), rows))
    for advice in told.recommendations:
        console.print(f"{advice.code}: {advice.text} ({advice.because})", markup=False, highlight=False)


def _logged(log: Any) -> list[tuple[str, str]]:
    if log is None:
        return []
    return [(f"log: {name}", f"{getattr(log, name):,}") for name in ("purchases", "frauds", "returns")]


def _now() -> int:
    return time.time_ns() // 1000
