"""What the service shares with other processes in SQL: API keys and measurements."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from fradect.adapters.database import migrate, open_database
from fradect.adapters.tables import measurements
from fradect.errors import Unavailable
from fradect.ports import Measurement

_json = msgspec.json.Encoder(order="deterministic")


def shared_url(ledger_url: str) -> str:
    """Beside a SQLite ledger a file of its own, since the ledger has one writer; elsewhere the same database."""
    url = sa.make_url(ledger_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        return ledger_url
    folder, _, _ = url.database.rpartition("/")
    return url.set(database=f"{folder}/shared.db").render_as_string(hide_password=False)


def open_shared(ledger_url: str) -> sa.Engine:
    """The shared tables, brought up to date."""
    engine = open_database(shared_url(ledger_url))
    migrate(engine, "shared")
    return engine


class SqlMeasurements:
    """Measurements in the shared tables; rows are appended, the newest of its kind counts."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def record(self, measurement: Measurement) -> None:
        try:
            with self._engine.begin() as connection:
                connection.execute(measurements.insert(), _row(measurement))
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"measurement {measurement.name} was not stored: {error.orig}") from error

    def replace(self, gauges: Sequence[Measurement]) -> None:
        """Figures that are told again every few seconds: what was told of the same name and labels goes."""
        rows = [_row(gauge) for gauge in gauges]
        table = measurements.c
        same = measurements.delete().where(
            table.name == sa.bindparam("its_name"), table.labels == sa.bindparam("its_labels")
        )
        try:
            with self._engine.begin() as connection:
                if rows:
                    connection.execute(same, [{"its_name": r["name"], "its_labels": r["labels"]} for r in rows])
                    connection.execute(measurements.insert(), rows)
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"measurements were not stored: {error.orig}") from error

    def latest(self) -> tuple[Measurement, ...]:
        table = measurements.c
        newest = sa.select(sa.func.max(table.id)).group_by(table.name, table.labels)
        rows = sa.select(table.name, table.labels, table.value, table.measured_at).where(table.id.in_(newest))
        try:
            with self._engine.connect() as connection:
                found = connection.execute(rows.order_by(table.name, table.labels)).all()
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"measurements could not be read: {error.orig}") from error
        return tuple(Measurement(n, msgspec.json.decode(labels), value, at) for n, labels, value, at in found)

    def all_of(self, name: str, labels: Mapping[str, str]) -> tuple[Measurement, ...]:
        """Every one of a name and labels, the oldest first."""
        table = measurements.c
        held = _json.encode(dict(labels)).decode()
        wanted = sa.select(table.value, table.measured_at).where(table.name == name, table.labels == held)
        try:
            with self._engine.connect() as connection:
                found = connection.execute(wanted.order_by(table.id)).all()
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"measurements could not be read: {error.orig}") from error
        return tuple(Measurement(name, labels, value, at) for value, at in found)


def _row(measurement: Measurement) -> dict[str, Any]:
    return {
        "name": measurement.name,
        "labels": _json.encode(dict(measurement.labels)).decode(),
        "value": measurement.value,
        "measured_at": measurement.measured_at,
    }
