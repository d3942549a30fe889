"""The API keys of this home."""

from collections.abc import Iterator
from contextlib import contextmanager

from fradect.adapters.keys import ApiKeys, KeyShown, NewKey
from fradect.adapters.shared_sql import open_shared
from fradect.settings import Settings

__all__ = ["KeyShown", "NewKey", "api_keys"]


@contextmanager
def api_keys() -> Iterator[ApiKeys]:
    """As the settings say where they are kept; Unavailable when they cannot be reached."""
    settings = Settings.from_env()
    engine = open_shared(settings.ledger_url)
    try:
        yield ApiKeys(engine, settings.home / "keys", settings.test_tenants)
    finally:
        engine.dispose()
