"""The allow and deny lists of this home."""

from collections.abc import Iterator
from contextlib import contextmanager

from fradect.adapters.lists_sql import Change, Kept, SqlLists
from fradect.adapters.shared_sql import open_shared
from fradect.settings import Settings

__all__ = ["Change", "Kept", "lists"]


@contextmanager
def lists() -> Iterator[SqlLists]:
    """As the settings say where they are kept; Unavailable when they cannot be reached."""
    engine = open_shared(Settings.from_env().ledger_url)
    try:
        yield SqlLists(engine)
    finally:
        engine.dispose()
