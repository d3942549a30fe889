"""SQL beside the Parquet log: what it has that the log has not, compacted, and numbers that both agree on."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import sqlalchemy as sa

from flows.progress import LOG
from flows.wiring import workshop
from fradect.adapters.compaction import Compacted, Compaction, compact, not_compacted
from fradect.adapters.database import sqlite_path
from fradect.adapters.erased import Erased
from fradect.adapters.event_log import EventLog
from fradect.adapters.importing import ImportOptions
from fradect.adapters.log_erasures import forget
from fradect.adapters.log_terms import is_personal
from fradect.adapters.shared_sql import open_shared, shared_url
from fradect.adapters.sql_events import SqlEvents
from fradect.adapters.sql_keys import SqlKeys
from fradect.adapters.states import States, missing_file, open_state
from fradect.adapters.told_labels import leave_told_labels
from fradect.errors import Conflict
from fradect.mapping import Mapping
from fradect.settings import Settings

log = logging.getLogger(__name__)


def compacted(module: str, tenant: str) -> Compacted:
    """Bring what SQL has into the log of a tenant that has one; nothing while an import is adding to it.

    What decisions turned out to be, as it stands now, is laid beside the log.
    """
    shop = workshop(module, tenant)
    if shop.log.facts() is None or not has_shared(shop.settings):
        return Compacted()
    leave_told_labels(shop.settings.ledger_url, shop.places)
    with sql(shop.settings) as (shared, stored):
        work = Compaction(shop.home, shop.log, shared, stored, None, confirmed(shop.settings, tenant, module))
        done = bring_up(work)
        _refile(shop.log, shared)
        return done


def _refile(event_log: EventLog, shared: sa.Engine) -> None:
    """Nothing is derived of erased customers' own events any more."""
    try:
        forget(event_log, Erased.of(shared, event_log.tenant, event_log.module.name))
    except Conflict as error:
        log.warning("erased customers stay in the log this time: %s", error)


def bring_up(work: Compaction) -> Compacted:
    try:
        done = compact(work)
    except Conflict as error:
        log.warning("not compacted this time: %s", error)
        return Compacted()
    if done.events or done.outcomes:
        LOG.info("%d events and %d outcomes joined the log", done.events, done.outcomes)
    return done


@contextmanager
def beside_sql(mapping: Mapping, options: ImportOptions) -> Iterator[ImportOptions]:
    """The options of an import that knows what SQL has, and takes its numbers from the live state where there is one.

    A home that was only ever imported into has neither, and gets none.
    """
    settings = Settings.from_env()
    options = replace(options, reserve=_number_blocks(settings, mapping))
    if not has_shared(settings) and not is_personal(mapping):
        yield options
        return
    with sql(settings) as (shared, stored):
        work = compaction_of(settings, mapping, shared, stored)
        bring_up(work)
        yield replace(options, stored=lambda: not_compacted(work), keys=SqlKeys(None, shared))


def compaction_of(settings: Settings, mapping: Mapping, shared: sa.Engine, stored: SqlEvents) -> Compaction:
    """For the log that the mapping feeds, which it may begin."""
    event_log = EventLog(settings.home, mapping.module.name, mapping.tenant)
    known = confirmed(settings, mapping.tenant, mapping.module.name)
    return Compaction(settings.home, event_log, shared, stored, mapping, known)


def highest(event_log: EventLog, stored: SqlEvents | None) -> int:
    """The highest number anywhere but in the live state."""
    facts = event_log.facts()
    in_log = 0 if facts is None else facts.highest_seq
    return in_log if stored is None else max(in_log, stored.highest(event_log.tenant, event_log.module.name))


def has_shared(settings: Settings) -> bool:
    """False for a home where nothing but imports has run."""
    path = sqlite_path(sa.create_engine(shared_url(settings.ledger_url)))
    return path is None or path.exists()


@contextmanager
def sql(settings: Settings) -> Iterator[tuple[sa.Engine, SqlEvents]]:
    """The shared tables, and every event that is stored there or in the ledger."""
    shared = open_shared(settings.ledger_url)
    stored = SqlEvents(settings.ledger_url, shared)
    try:
        yield shared, stored
    finally:
        stored.close()
        shared.dispose()


@contextmanager
def live_state(settings: Settings) -> Iterator[States]:
    state = open_state(settings.state_url)
    try:
        yield state
    finally:
        state.close()


def has_state(settings: Settings) -> bool:
    """False while a state in a file has not been made."""
    return missing_file(settings.state_url) is None


def confirmed(settings: Settings, tenant: str, module: str) -> int | None:
    """None where no live state knows."""
    if not has_state(settings):
        return None
    with live_state(settings) as state:
        return state.confirmed(tenant, module)


def _number_blocks(settings: Settings, mapping: Mapping) -> Callable[[int], int] | None:
    """What gives an import its numbers; None: the log alone, while there is no live state."""
    if not has_state(settings):
        return None
    event_log = EventLog(settings.home, mapping.module.name, mapping.tenant)

    def reserve(count: int) -> int:
        if not has_shared(settings):
            floor = highest(event_log, None)
        else:
            with sql(settings) as (_, stored):
                floor = highest(event_log, stored)
        with live_state(settings) as state:
            return state.reserve(mapping.tenant, mapping.module.name, count, floor)

    return reserve
