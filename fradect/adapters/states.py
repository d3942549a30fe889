"""The live state as every adapter keeps it, and which adapter a URL chooses."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from fradect.adapters.online_address import FolderAddress, RedisAddress, address_of
from fradect.adapters.state_parts import Filling, Mark, Size
from fradect.adapters.state_redis import RedisState
from fradect.adapters.state_sqlite import SqliteState
from fradect.errors import FradectError, InvalidInput
from fradect.features.held import Held, Learnt
from fradect.features.layout import Layout
from fradect.ports import Arrival, Arriving, Errand
from fradect.reconcile import Waiting
from fradect.types import Event


class States(Protocol):
    """Scopes, each a (tenant, module), in one place that many threads and processes share.

    A number is never given twice in a scope, whatever happens to its contents. Unavailable when the place does not
    answer, and for what needs a layout in a scope that this process has not adopted, or another has adopted otherwise.
    """

    def adopt(self, tenant_id: str, layout: Layout) -> bool:
        """Use this layout for the scope from now on. False when what was there was of another layout, or nothing:
        it is empty then but for its numbers, and has to be rebuilt."""
        ...

    def arrive(self, event: Event, errand: Errand | None = None, /) -> Arrival:
        """Number, append and read in one atomic step, once for each event id."""
        ...

    def arrive_many(self, arriving: Sequence[Arriving], /) -> Sequence[Arrival | FradectError]:
        """As fradect.ports.LiveState, in one round trip or transaction."""
        ...

    def read(self, event: Event, seq: int, errand: Errand | None = None, /) -> Arrival:
        """What the event sees under this number, by what is there now; nothing is appended."""
        ...

    def withdraw(self, event: Event) -> None:
        """Undo an arrival and free its id; one that is confirmed stays, since its event is in the log."""
        ...

    def withdraw_id(self, tenant_id: str, module: str, event_id: str, kind: str = "") -> None:
        """The same by id alone, for arrivals whose request is gone; with `kind`, of an outcome of the event that was
        learnt without a number and is not known to be stored."""
        ...

    def apply(self, event: Event, seq: int | None = None) -> int:
        """Append an event that nobody waits for, once for each id; its number. With `seq`, it is an event of the log
        which takes its place among those that came after it."""
        ...

    def apply_many(self, events: Sequence[Event]) -> list[int]:
        """The same for several without numbers; each one's step is atomic."""
        ...

    def learn(self, outcomes: Sequence[Learnt]) -> list[int]:
        """Take outcomes in, once for each event and kind; their numbers. One that has none gets it in the same atomic
        step, the same again when it is repeated, and is unconfirmed until it is told under it: stored, that says, and
        if it was stored as something else than it was learnt as, what is stored counts."""
        ...

    def reserve(self, tenant_id: str, module: str, count: int, at_least: int = 0) -> int:
        """The first of `count` numbers, after `at_least`, that nobody else gets. Needs no adoption."""
        ...

    def known(self, tenant_id: str, module: str, event_ids: Sequence[str]) -> set[str]:
        """Which of the events arrived, as far as that is remembered (a week)."""
        ...

    def unconfirmed(self, tenant_id: str, module: str) -> list[Waiting]:
        """Arrivals, of events and of outcomes, that are not known to be in the log, in order of numbers."""
        ...

    def confirm(self, tenant_id: str, module: str, seq: int) -> None:
        """Every arrival up to this number has its event in the log."""
        ...

    def confirm_exactly(self, tenant_id: str, module: str, seq: int, waiting: int) -> bool:
        """The same, if so many arrivals wait up to it; False, and nothing, when some came or went meanwhile."""
        ...

    def confirmed(self, tenant_id: str, module: str) -> int: ...

    def mark(self, tenant_id: str, module: str) -> Mark:
        """Needs no adoption; a scope that was never used has not come far."""
        ...

    def now(self) -> int:
        """The clock that `Waiting.since` is told by, microseconds."""
        ...

    def refill(self, tenant_id: str, layout: Layout, filling: Filling) -> Mark:
        """Adopt the layout and replace all that the scope holds at once; what reads meanwhile sees the old or
        nothing (Unavailable), never a mixture."""
        ...

    def sweep(self) -> int:
        """Remove some of what nothing can reach any more from adopted scopes; how much. For now and then."""
        ...

    def settle_all(self, tenant_id: str, module: str) -> None:
        """Settle every key, so that two states can be compared."""
        ...

    def dump(self, tenant_id: str, module: str) -> Iterator[tuple[str, str, Held]]:
        """Entity, key and what is held, in order."""
        ...

    def size(self, tenant_id: str, module: str) -> Size: ...

    def forget(self, tenant_id: str, module: str, entity: str, key: str) -> bool:
        """Remove all that is held of one key of an entity; whether there was anything."""
        ...

    def drop(self, tenant_id: str, module: str) -> None:
        """Take the scope away, its numbers too. For scopes that were made for a while."""
        ...

    def close(self) -> None: ...


def open_state(url: str, wait: float = 5.0, named: str = "FRADECT_STATE_URL") -> States:
    """The live state that a URL chooses: sqlite:///<path> or redis://[:password@]host[:port][/number], rediss:// too.

    `wait`: seconds after which a step that was not answered is Unavailable. `named`: what gave the URL. InvalidInput,
    which repeats nothing that may be a password, for other URLs, and for a file that holds other tables.
    """
    address = _address(url, named)
    if isinstance(address, FolderAddress):
        _check_tables(address.folder, named)
        return SqliteState(address.folder, wait=wait)
    return RedisState(address, wait=wait)


def missing_file(url: str, named: str = "FRADECT_STATE_URL") -> Path | None:
    """The file of a state that has not been made; None where there is one, or the state is no file."""
    address = _address(url, named)
    return address.folder if isinstance(address, FolderAddress) and not address.folder.exists() else None


def is_embedded(url: str) -> bool:
    """Whether one service alone uses the state, beside batch work and streams on its machine."""
    return url.startswith("sqlite:")


def _address(url: str, named: str) -> FolderAddress | RedisAddress:
    try:
        return address_of(url)
    except InvalidInput as error:
        wanted = "sqlite:///<path> or redis[s]://[[user]:password@]host[:port][/number]"
        raise InvalidInput(f"{named}: give {wanted}", field=named) from error


def _check_tables(path: Path, named: str) -> None:
    """A state throws away tables that are not as it wants them, and they might be the ledger's."""
    if not path.is_file():
        return
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            names = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:  # whoever opens it for good says what is wrong
        return
    if names and "scopes" not in names:
        raise InvalidInput(f"{named}: {path} holds other tables ({min(names)}, ...): name a file of its own", named)
