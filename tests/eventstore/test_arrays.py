"""Arrays in PostgreSQL's binary form: it reads what is made, and what it makes is read."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore import arrays
from ops.database.exchange import Exchange

pytestmark = pytest.mark.usefixtures("db")

Write = Callable[[Iterable[Any]], bytes]

MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
HASHES = st.binary(min_size=32, max_size=32)
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
WRITTEN: dict[str, tuple[Write, st.SearchStrategy[Any], Callable[[Any], str]]] = {
    "uuid": (arrays.uuids, st.uuids(), str),
    "bigint": (arrays.bigints, st.integers(-(2**63), 2**63 - 1), str),
    "int": (arrays.integers, st.integers(-(2**31), 2**31 - 1), str),
    "smallint": (arrays.smallints, st.integers(-(2**15), 2**15 - 1), str),
    "text": (arrays.texts, TEXTS, str),
    "bytea": (arrays.byteas, st.binary(), lambda value: f"\\x{value.hex()}"),
    "jsonb": (arrays.jsons, st.sampled_from([b'{"a": 1}', b"[]", b'"\xc3\xa9"']), bytes.decode),
    "timestamptz": (arrays.moments, MOMENTS, lambda value: value.astimezone(UTC).isoformat(timespec="microseconds")),
}


def answers(sql: str, parameter: bytes, *, binary: bool = False) -> list[bytes | None]:
    """The first row that PostgreSQL answers with."""
    connection.ensure_connection()
    exchange = Exchange(connection.connection)
    exchange.begin()
    try:
        return exchange.send(sql, (parameter,), binary=binary).rows()[0]
    finally:
        exchange.abandon()


@pytest.mark.parametrize("kind", WRITTEN)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_postgresql_reads_an_array_as_it_was_meant(kind: str, data: st.DataObject) -> None:
    write, values, as_text = WRITTEN[kind]
    items = data.draw(st.lists(values, max_size=5))
    format_ = "to_char(i AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"')"
    shown = format_ if kind == "timestamptz" else "i::text"

    (count, text) = answers(
        f"SELECT cardinality($1::{kind}[]), (SELECT json_agg({shown} ORDER BY n)"
        f" FROM unnest($1::{kind}[]) WITH ORDINALITY AS u (i, n))",
        write(items),
    )

    assert int(count or b"0") == len(items)
    assert orjson.loads(text or b"[]") == [as_text(item) for item in items]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.uuids(), st.integers(-(2**63), 2**63 - 1), st.binary(min_size=32, max_size=32), MOMENTS))
)
def test_what_postgresql_gives_back_is_what_it_was_given(rows: list[tuple[Any, ...]]) -> None:
    ids, numbers, hashes, moments = ([row[column] for row in rows] for column in range(4))

    def back(kind: str, array: bytes) -> bytes | None:
        return answers(f"SELECT $1::{kind}[]", array, binary=True)[0]

    assert arrays.read_uuids(back("uuid", arrays.uuids(ids))) == ids
    assert arrays.read_bigints(back("bigint", arrays.bigints(numbers))) == numbers
    assert arrays.read_byteas(back("bytea", arrays.byteas(hashes)), 32) == hashes
    assert arrays.read_moments(back("timestamptz", arrays.moments(moments))) == moments


def test_a_moment_by_itself_and_an_array_that_is_null() -> None:
    now = datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC)
    (back,) = answers("SELECT $1::timestamptz", arrays.moment(now), binary=True)
    assert back is not None
    assert arrays.read_moment(back) == now
    assert arrays.read_uuids(None) == []
