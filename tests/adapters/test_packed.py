"""Arrays that are packed here are the arrays that PostgreSQL understands."""

from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from fradect.adapters.packed import MISFITS, column

_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": _TEXT,
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "double precision": st.floats(allow_nan=True),
    "bytea": st.binary(),
}


@pytest.fixture(scope="module")
def connection(postgres: Any) -> Any:
    with psycopg.connect(postgres.new_database().replace("+psycopg", ""), autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("type_", _VALUES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_array_arrives_as_it_was(connection: Any, type_: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | _VALUES[type_]))
    theirs = sql.Literal(values).as_bytes(connection)
    statement = b"SELECT $1::%b[] IS NOT DISTINCT FROM %b::%b[]" % (type_.encode(), theirs, type_.encode())
    result = connection.pgconn.exec_params(statement, [column(type_)(values)], None, [1])
    assert result.get_value(0, 0) == b"t", result.error_message


@pytest.mark.parametrize(
    ("type_", "value"),
    [("bigint", 2**63), ("integer", 2**31), ("integer", "1"), ("double precision", "x"), ("text", 5), ("bytea", 5),
     ("text", "\ud800")],
)  # fmt: skip
def test_what_a_column_does_not_take_is_refused(type_: str, value: object) -> None:
    with pytest.raises(MISFITS):
        column(type_)([value])
