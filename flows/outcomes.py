"""Files of outcomes, told to the service row by row: what is taken, what is refused and why, what says nothing."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from flows.progress import advance
from flows.progress import stage as announced
from fradect.faults import Fault, Reason
from fradect.intake import Reject
from fradect.outcome_rows import Heard, RowReader

AT_ONCE = 500

Row = tuple[int, Mapping[str, Any] | Fault]
"""Its number in the file, 1 for the first, and its cells by column, or why there are none."""


class Teller(Protocol):
    """Who is told."""

    def tell(self, decision_id: str, heard: Heard) -> Fault | None:
        """Durable when it returns, told before or not; a Fault where it was refused."""
        ...


@dataclass
class Taken:
    """Counts of rows. `ignored`: chargebacks that speak of no fraud."""

    rows: int = 0
    told: int = 0
    ignored: int = 0
    rejects: list[Reject] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Desk:
    """What rows go through: how they are read, which decision a transaction has, who is told, where rejects go."""

    reader: RowReader
    decisions: Callable[[list[str]], Mapping[str, str]]
    teller: Teller
    reject: Callable[[list[Reject]], None]


def take(rows: Iterable[Row], desk: Desk) -> Taken:
    """Row by row in their order; the same file again changes nothing."""
    taken, coming = Taken(), iter(rows)
    with announced("outcomes") as result:
        while some := list(islice(coming, AT_ONCE)):
            rejects = list(_told(some, desk, taken))
            desk.reject(rejects)
            taken.rows += len(some)
            taken.rejects += rejects
            advance(taken.rows, 0, f"{taken.told:,} told")
        result.words = f"{taken.told:,} of {taken.rows:,} rows told, {len(taken.rejects):,} rejected"
    return taken


def _told(some: list[Row], desk: Desk, taken: Taken) -> Iterator[Reject]:
    heard: list[tuple[int, Heard]] = []
    for number, row in some:
        try:
            read = desk.reader.read(_cells(row))
        except Fault as fault:
            yield _reject(number, None, fault)
            continue
        if read is None:
            taken.ignored += 1
        else:
            heard.append((number, read))
    known = desk.decisions([one.transaction_id for _, one in heard if one.transaction_id and not one.decision_id])
    for number, one in heard:
        decision_id = one.decision_id or known.get(one.transaction_id or "")
        refused = _NOT_THERE if decision_id is None else desk.teller.tell(decision_id, one)
        if refused is None:
            taken.told += 1
        else:
            yield _reject(number, one, refused)


_NOT_THERE = Fault(Reason.NO_DECISION, "the ledger has none of this transaction", "transaction_id")


def _cells(row: Mapping[str, Any] | Fault) -> Mapping[str, Any]:
    if isinstance(row, Fault):
        raise row
    return row


def _reject(number: int, heard: Heard | None, fault: Fault) -> Reject:
    about = None if heard is None else heard.transaction_id or heard.decision_id
    return Reject(number, about, fault.field or "", fault.reason, fault.remedy)
