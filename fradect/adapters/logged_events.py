# ruff: noqa: S608  statements are made of paths of our own and of numbers
"""Is an event in the Parquet log already, and what does the log say of it? Asked for every event of a stream.

Sixteen bytes of memory an event: its id's hash, sorted, and its number, by which its row is found.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from fradect.adapters.duck import connect, files
from fradect.adapters.event_log import EventLog
from fradect.types import Event, OutcomeKind

_IDENTITY = ("seq", "event_id", "tenant_id", "module", "event_time", "observed_at")


class LoggedEvents:
    """One log's events by id, kept up with as batches are added."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._duck = connect(log.folder)
        self._batches: set[str] = set()
        self._hashes = np.empty(0, np.uint64)
        self._seqs = np.empty(0, np.int64)

    def close(self) -> None:
        self._duck.close()

    def find(self, event_ids: Sequence[str]) -> dict[str, tuple[int, Event]]:
        """Number and event of those that the log has."""
        seqs = self._candidates(event_ids)
        if not seqs:
            return {}
        wanted = set(event_ids)
        rows = self._rows("events", seqs)
        return {row["event_id"]: _event(row) for row in rows if row["event_id"] in wanted}

    def held(self, event_ids: Sequence[str]) -> set[str]:
        """Which of them the log has."""
        seqs = self._candidates(event_ids)
        if not seqs:
            return set()
        return {row["event_id"] for row in self._rows("events", seqs, "event_id")} & set(event_ids)

    def said(self, event_ids: Sequence[str]) -> dict[tuple[str, OutcomeKind], bool]:
        """The outcomes that the log has of these events."""
        seqs, wanted = self._candidates(event_ids), set(event_ids)
        if not seqs:
            return {}
        rows = self._rows("outcomes", seqs, "event_id, kind, value")
        return {(r["event_id"], OutcomeKind(r["kind"])): r["value"] for r in rows if r["event_id"] in wanted}

    def _candidates(self, event_ids: Sequence[str]) -> list[int]:
        """Numbers of events whose id has the hash of one of these."""
        self._follow()
        if not event_ids or not self._hashes.size:
            return []
        asked = np.unique(self._hashed("(SELECT unnest(?) AS event_id)", [list(event_ids)])["hash"])
        first = np.searchsorted(self._hashes, asked, side="left")
        last = np.searchsorted(self._hashes, asked, side="right")
        hits = np.flatnonzero(last > first)
        return [int(seq) for at in hits for seq in self._seqs[first[at] : last[at]]]

    def _follow(self) -> None:
        facts = self._log.facts()
        added = [batch.name for batch in facts.batches if batch.name not in self._batches] if facts else []
        if not added:
            return
        found = self._hashed(files(self._paths("events", added)), [], ", seq")
        hashes = np.concatenate([self._hashes, found["hash"]])
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._seqs = hashes[order], np.concatenate([self._seqs, found["seq"]])[order]
        self._batches.update(added)

    def _hashed(self, table: str, values: list[Any], also: str = "") -> dict[str, np.ndarray[Any, Any]]:
        asked = self._duck.execute(f"SELECT hash(event_id) AS hash{also} FROM {table}", values)
        return {name: np.asarray(column) for name, column in asked.fetchnumpy().items()}

    def _rows(self, kind: str, seqs: list[int], columns: str = "*") -> list[dict[str, Any]]:
        paths = self._paths(kind, sorted(self._batches))
        listed = ", ".join(str(seq) for seq in seqs)
        asked = self._duck.execute(f"SELECT {columns} FROM {files(paths)} WHERE seq IN ({listed})")
        rows: list[dict[str, Any]] = _plain(asked.to_arrow_table()).to_pylist()
        return rows

    def _paths(self, kind: str, batches: Sequence[str]) -> list[str]:
        return [str(self._log.folder / kind / f"{batch}.parquet") for batch in batches]


def _plain(table: pa.Table) -> pa.Table:
    """Times as microseconds."""
    for i, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(i, field.name, table.column(i).cast(pa.int64()))
    return table


def _event(row: dict[str, Any]) -> tuple[int, Event]:
    seq, event_id, tenant_id, module, happened, observed = (row.pop(name) for name in _IDENTITY)
    return seq, Event(event_id, tenant_id, module, happened, observed, row)
