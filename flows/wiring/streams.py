"""Streams: a URL becomes a source, settings become store, state and dead letters."""

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from flows.progress import LOG, advance, counted
from flows.wiring import mapping_file, workshop
from flows.wiring.compacting import bring_up, compaction_of, highest, live_state, sql
from flows.wiring.storage import working
from fradect.adapters.compaction import begin
from fradect.adapters.event_log import EventLog
from fradect.adapters.folder_stream import FolderSource, QuarantineLetters
from fradect.adapters.kafka_stream import KafkaLetters, KafkaSource, KafkaUrl
from fradect.adapters.log_terms import key_id, stream_terms
from fradect.adapters.logged_events import LoggedEvents
from fradect.adapters.shared_sql import SqlMeasurements
from fradect.adapters.sql_keys import SqlKeys
from fradect.adapters.state_sources import Rebuilder
from fradect.adapters.state_upkeep import Upkeep
from fradect.adapters.stream_sql import SqlStreamStore
from fradect.adapters.stream_state import StreamState
from fradect.errors import InvalidInput, Unavailable
from fradect.features.layout import Layout, layout_of
from fradect.mapping import Mapping, load_mapping
from fradect.ports import Measurement
from fradect.settings import Settings
from fradect.stream import DeadLetters, Ingest, Options, Progress, Source, Tools

log = logging.getLogger(__name__)

METRIC = "fradect_stream_lag"
_EVERY = 10.0  # seconds between two recordings of the lag


@dataclass(frozen=True, slots=True)
class Asked:
    """A stream and how to read it; `outcomes` names a topic where the URL does not; `wait`: of Options."""

    url: str
    mapping: str
    outcomes: str | None = None
    wait: float | None = None


@contextmanager
def opened(asked: Asked) -> Iterator[Ingest]:
    """Everything between a URL and the log, closed again at the end."""
    settings = Settings.from_env()
    mapping = load_mapping(mapping_file(asked.mapping))
    way = _way(asked, mapping)
    with ExitStack() as stack:
        shared, stored = stack.enter_context(sql(settings))
        event_log = EventLog(settings.home, mapping.module.name, mapping.tenant)
        with working(mapping.module.name, mapping.tenant):
            folder, keys = way if isinstance(way, Path) else None, SqlKeys(None, shared)
            terms = stream_terms(event_log.facts(), mapping, settings.home, folder, keys)
            begin(event_log, mapping, key_id(mapping, settings.home))
            bring_up(compaction_of(settings, mapping, shared, stored))
        logged = LoggedEvents(event_log)
        stack.callback(logged.close)
        live = stack.enter_context(live_state(settings))
        rebuilder = Rebuilder(live, settings.home, shared, stored)
        upkeep = Upkeep(live, settings.home, stored, rebuilder.rebuild, alone=False)
        state = StreamState(live, upkeep, mapping.tenant, lambda: _layout(mapping), lambda: highest(event_log, stored))
        state.begin()
        name = f"folder:{way}" if isinstance(way, Path) else f"kafka:{way.group}"
        store = SqlStreamStore(shared, stored, logged, (mapping.tenant, mapping.module.name), name)
        source, dead, tries = _ends(way, mapping, store)
        stack.callback(source.close)
        told = _Told(SqlMeasurements(shared))
        tools = Tools(source, store, state, dead, state.confirm, told)
        yield Ingest(mapping, terms, tools, Options(tries=tries, wait=asked.wait))


def _way(asked: Asked, mapping: Mapping) -> KafkaUrl | Path:
    """What the URL means, before anything is opened."""
    scheme, mark, rest = asked.url.partition("://")
    if mark and scheme == "kafka":
        return KafkaUrl.parse(asked.url, asked.outcomes, f"fradect-{mapping.module.name}-{mapping.tenant}")
    if mark and scheme != "file":
        raise InvalidInput(f"stream {scheme}://: give kafka://host:port/topic, file:///folder or a path", "stream")
    if asked.outcomes:
        raise InvalidInput("outcomes of a folder lie in its sub folder outcomes/: leave the option out", "outcomes")
    if not asked.url or (mark and not rest.startswith("/")):
        raise InvalidInput(f"stream {asked.url!r}: a folder is a path, or file:///and/its/path", "stream")
    folder = Path(unquote(urlsplit(asked.url).path) if rest else asked.url).resolve()
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is no folder: make it, or name another", "stream")
    return folder


def _ends(way: KafkaUrl | Path, mapping: Mapping, store: SqlStreamStore) -> tuple[Source, DeadLetters, int]:
    """Where rows come from, where those go that cannot be taken, and how often they are tried before."""
    if isinstance(way, KafkaUrl):
        return KafkaSource(way, store.positions), KafkaLetters(way), 5
    source = FolderSource(way, mapping, store.positions)
    return source, QuarantineLetters(_quarantine(mapping), source.name_of), 1


def _quarantine(mapping: Mapping) -> Path:
    return Settings.from_env().home / "quarantine" / mapping.module.name / mapping.tenant


def refused_at(asked: Asked) -> str:
    """Where what cannot be taken lies, in words."""
    mapping = load_mapping(mapping_file(asked.mapping))
    way = _way(asked, mapping)
    if isinstance(way, Path):
        return str(_quarantine(mapping))
    return " and ".join(f"topic {topic}.dead" for topic in (way.topic, way.outcomes) if topic is not None)


def _layout(mapping: Mapping) -> Layout:
    """What the champion looks at; before there is one, what the mapping's contract does."""
    shop = workshop(mapping.module.name, mapping.tenant)
    champion = shop.releases.champion(mapping.module.name, mapping.tenant)
    contract = mapping.contract if champion is None else shop.releases.load(champion).contract
    return layout_of(mapping.module, contract)


class _Told:
    """Progress as people see it, and the lag as a metric."""

    def __init__(self, measurements: SqlMeasurements) -> None:
        self._measurements = measurements
        self._recorded = float("-inf")

    def __call__(self, progress: Progress) -> None:
        words = in_words(progress)
        advance(0, 0, words)
        if time.monotonic() - self._recorded < _EVERY:
            return
        self._recorded = time.monotonic()
        if not progress.trouble:  # which is told once
            LOG.info("%s", words)
        now = time.time_ns() // 1000
        try:
            self._measurements.replace(
                [
                    Measurement(METRIC, {"topic": topic, "partition": str(partition)}, float(lag), now)
                    for (topic, partition), lag in progress.lag.items()
                ]
            )
        except Unavailable as error:  # the stream itself waits for the database
            log.warning("%s", error)


def in_words(progress: Progress) -> str:
    said = f"{progress.events:,} events, {progress.outcomes:,} outcomes, {progress.rate:,.0f} events/s"
    said += f", {progress.waiting:,} outcomes wait for their event" if progress.waiting else ""
    said += f", {progress.dead:,} refused ({counted(progress.reasons)})" if progress.dead else ""
    if progress.trouble:
        return f"{said}, waiting: {progress.trouble}"
    return said + (", how far behind is not known" if progress.behind is None else f", {progress.behind:,} behind")
