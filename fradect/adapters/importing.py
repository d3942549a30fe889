"""Files into the event log: read, judged, staged, merged, published. Nothing is half done, nothing done twice."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import msgspec
import pyarrow as pa

from fradect.adapters.data_keys import KeyStore
from fradect.adapters.event_log import BatchFacts, EventLog, Facts, SourceFacts, facts_of
from fradect.adapters.log_merge import STORED, Merge, Repeat
from fradect.adapters.log_terms import check_log, keep_table, vault_for
from fradect.adapters.sources import Source
from fradect.adapters.staging import Desk, Staged, stage
from fradect.adapters.supply import FolderSupply, Supply
from fradect.adapters.vault import HomeVault
from fradect.errors import Conflict, Refused
from fradect.faults import Reason
from fradect.intake import Reject, Terms, fillers
from fradect.mapping import Mapping

Progress = Callable[[float, float, str], None]
"""Told the bytes of files done, the bytes of all files, and a few words."""


LISTED = 5
"""Reasons that a refusal tells of; the quarantine has them all."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """`until`: leave out events from then on. `max_rejected`: the largest share of rows that may be rejected.

    `now` decides what lies in the future (None: the clock). Times in microseconds. `reserve` gives the first of so
    many numbers, all above the log's (None: those that follow the log's highest). `stored` gives pages of event_id,
    seq and source (STORED) of events that are not in the log yet. `keys`: where keys of customers are stored.
    """

    until: int | None = None
    reserve: Callable[[int], int] | None = None
    stored: Callable[[], Iterable[pa.Table]] = tuple
    max_rejected: float = 0.05
    progress: Progress | None = None
    now: int | None = None
    memory_mb: int = 512
    keys: KeyStore | None = None


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Counts of rows, of the files that were read this time; `skipped` of all `files` had been imported before.

    `rows` = `accepted` + `rejected` + `held_back` + `already`; `rejected` includes `duplicates`; `already` came by an
    earlier import of the same file, by a stream, or by the service. `quarantine` is the folder of the rejected.
    """

    module: str
    tenant: str
    files: int
    skipped: int
    rows: int
    accepted: int
    rejected: int
    duplicates: int
    held_back: int
    already: int
    by_reason: dict[str, int]
    outcomes: int
    quarantine: Path | None
    seconds: float


@dataclass(slots=True)
class _Run:
    """One import under way."""

    mapping: Mapping
    log: EventLog
    facts: Facts | None
    staging: Path
    quarantine: Path
    options: ImportOptions
    staged: list[Staged] = field(default_factory=list)
    outcomes: int = 0

    def total(self, count: str) -> int:
        return sum(getattr(staged, count) for staged in self.staged)


_DEFAULTS = ImportOptions()


def import_path(source: Path, mapping: Mapping, home: Path, options: ImportOptions = _DEFAULTS) -> ImportReport:
    """Bring a file, or a folder of files, into the log that the mapping names. What was imported before is skipped.

    InvalidInput for a source or a table that cannot be read, Conflict for a log of another contract or currency,
    Refused when more than `max_rejected` of the rows are rejected: the log is as before, the quarantine tells why.
    """
    return import_from(FolderSupply(source), mapping, home, options)


def import_from(supply: Supply, mapping: Mapping, home: Path, options: ImportOptions = _DEFAULTS) -> ImportReport:
    """The same from wherever files are supplied; one at a time is on its way."""
    started = time.perf_counter()
    log = EventLog(home, mapping.module.name, mapping.tenant)
    with log.importing() as staging:
        facts = log.facts()
        quarantine = home / "quarantine" / mapping.module.name / mapping.tenant
        run = _Run(mapping, log, facts, staging, quarantine, options)
        vault = vault_for(mapping, home, options.keys)
        check_log(facts, mapping, vault)
        table = mapping.range_table(supply.place)
        _stage_all(run, supply, _terms(run, vault, table))
        following = _merge(run, vault)
        _publish_quarantine(run)
        _check_share(run)
        if following is not None:
            log.publish(following)
        keep_table(table, home, mapping)
    return _report(run, supply.files, time.perf_counter() - started)


def _terms(run: _Run, vault: HomeVault | None, table: Path | None) -> Terms:
    lookups = fillers(run.mapping, table)
    now = time.time_ns() // 1000 if run.options.now is None else run.options.now
    return Terms(now, run.options.until, vault, lookups)


def _is_wanted(run: _Run) -> Callable[[str], bool]:
    """Each content once, unless an earlier import has all of it that this one could add."""
    known = {} if run.facts is None else {source.digest: source for source in run.facts.sources}
    taken: set[str] = set()

    def is_wanted(digest: str) -> bool:
        is_new = digest not in taken and not _is_done(known.get(digest), run)
        taken.add(digest)
        return is_new

    return is_wanted


def _is_done(before: SourceFacts | None, run: _Run) -> bool:
    """Rows once rejected may pass under a changed mapping, rows once held back under a later `until`."""
    if before is None:
        return False
    until = run.options.until
    nothing_held = before.held_back == 0 or (until is not None and until <= (before.until or 0))
    return nothing_held and (before.rejected == 0 or before.mapping_hash == run.mapping.hash)


def _stage_all(run: _Run, supply: Supply, terms: Terms) -> None:
    show = run.options.progress or (lambda _done, _total, _words: None)
    before = 0

    def on_rows(source: Source, rows: int) -> None:
        show(before, supply.size, f"{run.total('rows') + rows:,} rows read, {source.name}")

    desk = Desk(run.mapping, terms, run.staging, on_rows)
    for source, before in supply.wanted(_is_wanted(run)):  # noqa: B007  on_rows shows it
        run.staged.append(stage(source, len(run.staged), desk))


def _merge(run: _Run, vault: HomeVault | None) -> Facts | None:
    """Stage the batch that this import adds; the facts of the log with it, None when there is nothing to publish."""
    paths = [staged.path for staged in run.staged if not staged.is_broken and staged.path.exists()]
    if not paths:
        return None
    merge = Merge(run.log, run.staging, paths, [staged.source.digest for staged in run.staged])
    try:
        merge.limit(run.options.memory_mb)
        merge.find_repeats(run.facts, run.options.stored())
        _set_apart(run, merge)
        return _following(run, merge, vault) if _rejected_share(run) <= run.options.max_rejected else None
    finally:
        merge.close()


def _set_apart(run: _Run, merge: Merge) -> None:
    """Repeated ids out of the accepted: the same row of the same file again is no news, nor is an event that came by a
    stream or by the service; any other is a duplicate."""
    names = {} if run.facts is None else {source.digest: source.name for source in run.facts.sources}
    names |= {staged.source.digest: staged.source.name for staged in run.staged}
    for repeats in merge.repeats():
        for number, of_source in groupby(repeats, key=lambda repeat: repeat.source):
            _set_apart_of(run.staged[number], list(of_source), names)


def _set_apart_of(staged: Staged, repeats: list[Repeat], names: dict[str, str]) -> None:
    others = [repeat for repeat in repeats if repeat.digest not in STORED]
    duplicates = [r for r in others if (r.digest, r.row) != (staged.source.digest, r.at)]
    staged.accepted -= len(repeats)
    staged.already += len(repeats) - len(duplicates)
    staged.duplicates += len(duplicates)
    staged.quarantine.add(_duplicate(repeat, names[repeat.digest]) for repeat in duplicates)
    staged.quarantine.close()


def _duplicate(repeat: Repeat, first: str) -> Reject:
    return Reject(repeat.at, repeat.event_id, "event_id", Reason.DUPLICATE, f"first seen in {first}, row {repeat.row}")


def _following(run: _Run, merge: Merge, vault: HomeVault | None) -> Facts | None:
    mapping, facts = run.mapping, run.facts or facts_of(run.mapping)
    key_id = facts.key_id if vault is None else vault.key_id
    facts = msgspec.structs.replace(
        facts,
        mapping=mapping.name,
        mapping_hash=mapping.hash,
        key_id=key_id,
        costs=mapping.costs,
        sources=_sources(run, facts),
    )
    if run.total("accepted"):
        first_seq = _first_seq(run, facts)
        name = f"{first_seq:012d}-{_fingerprint(run)}"
        merged = merge.write(mapping, name, first_seq)
        run.outcomes = merged.outcomes
        times = [(merged.first_time, merged.last_time)]
        times += [(facts.first_time, facts.last_time)] if facts.batches else []
        batch = BatchFacts(name, first_seq, first_seq + merged.events - 1, merged.outcomes)
        facts = msgspec.structs.replace(
            facts,
            first_time=min(first for first, _ in times),
            last_time=max(last for _, last in times),
            batches=(*facts.batches, batch),
        )
    return facts if facts.batches else None


def _first_seq(run: _Run, facts: Facts) -> int:
    following = facts.highest_seq + 1
    first = following if run.options.reserve is None else run.options.reserve(run.total("accepted"))
    if first < following:
        raise Conflict(
            f"numbers from {first} on were reserved, the log is at {facts.highest_seq}: rebuild the live state"
        )
    return first


def _sources(run: _Run, facts: Facts) -> tuple[SourceFacts, ...]:
    """The sources of the log with what this run knows of them; broken files are read again next time."""
    known = {source.digest: source for source in facts.sources}
    for staged in run.staged:
        if not staged.is_broken:
            known[staged.source.digest] = SourceFacts(
                digest=staged.source.digest,
                name=staged.source.name,
                mapping_hash=run.mapping.hash,
                rows=staged.rows,
                accepted=staged.accepted + staged.already,
                rejected=staged.rejected,
                held_back=staged.held_back,
                until=run.options.until,
            )
    return tuple(known.values())


def _fingerprint(run: _Run) -> str:
    """Of what went in, so that the same import makes a file of the same name."""
    parts = [run.mapping.hash, str(run.options.until), *(staged.source.digest for staged in run.staged)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _publish_quarantine(run: _Run) -> None:
    for staged in run.staged:
        staged.quarantine.publish(run.quarantine / f"{staged.source.digest}.parquet")


def _rejected_share(run: _Run) -> float:
    judged = run.total("accepted") + run.total("rejected")
    return run.total("rejected") / judged if judged else 0.0


def _check_share(run: _Run) -> None:
    if _rejected_share(run) <= run.options.max_rejected:
        return
    reasons = "; ".join(_in_words(run, reason, count) for reason, count in _by_reason(run).most_common(LISTED))
    raise Refused(
        f"{_rejected_share(run):.1%} of the rows are rejected, {run.options.max_rejected:.1%} may be: {reasons}. "
        f"Nothing was imported: look into {run.quarantine}, correct the mapping or the files, or raise the limit"
    )


def _in_words(run: _Run, reason: str, count: int) -> str:
    rows = "1 row" if count == 1 else f"{count:,} rows"
    found = [staged.quarantine.first[reason] for staged in run.staged if reason in staged.quarantine.first]
    where = f", first {found[0][0]} in row {found[0][1]:,}" if found else ""
    return f"{reason} ({rows}{where})"


def _by_reason(run: _Run) -> Counter[str]:
    counts: Counter[str] = Counter()
    for staged in run.staged:
        counts.update(staged.quarantine.reasons)
        if staged.unlisted:
            counts[Reason.BROKEN_FILE.value] += staged.unlisted
    return counts


def _report(run: _Run, files: int, seconds: float) -> ImportReport:
    return ImportReport(
        module=run.mapping.module.name,
        tenant=run.mapping.tenant,
        files=files,
        skipped=files - len(run.staged),
        rows=run.total("rows"),
        accepted=run.total("accepted"),
        rejected=run.total("rejected"),
        duplicates=run.total("duplicates"),
        held_back=run.total("held_back"),
        already=run.total("already"),
        by_reason=dict(_by_reason(run).most_common()),
        outcomes=run.outcomes,
        quarantine=run.quarantine if run.total("rejected") else None,
        seconds=seconds,
    )
