"""DuckDB's door: a connection that keeps to a memory limit and spills beside the data."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

MEMORY = "1GB"

Duck = duckdb.DuckDBPyConnection


def connect(folder: Path) -> duckdb.DuckDBPyConnection:
    """An in-memory database in UTC; what exceeds the memory limit goes to `folder`."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET memory_limit = '{MEMORY}'")
    connection.execute("SET temp_directory = ?", [str(folder)])
    connection.execute("SET enable_progress_bar = false")
    return connection


def files(paths: Sequence[str]) -> str:
    """A table expression over Parquet files, matched by column name."""
    listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    return f"read_parquet([{listed}], union_by_name = true)"


def quoted(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'
