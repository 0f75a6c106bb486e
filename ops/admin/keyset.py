"""Keyset pagination: pages of a table of any size in constant time.

A page is found by the key of the row that it follows, never by counting or skipping rows: no COUNT, no OFFSET.
The key is a list of columns, unique together, that an index holds in this order.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import BooleanField, F, Func, Model, QuerySet, Value
from django.db.models.lookups import GreaterThan, GreaterThanOrEqual, LessThan, LessThanOrEqual, Lookup

BIGINT_MAX = 2**63 - 1


class BadCursor(ValueError):
    """A cursor that no page of this list has given out."""


def position(text: str) -> int:
    """A bigint, zero or more.

    Raises:
        ValueError: it is none.
    """
    number = int(text)
    if not text.isascii() or not 0 <= number <= BIGINT_MAX:
        raise ValueError(text)
    return number


def moment(text: str) -> datetime:
    """A moment with its time zone, as `str` writes it.

    Raises:
        ValueError: it is none.
    """
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError(text)
    return value


date_key = date.fromisoformat


def text_key(text: str) -> str:
    if "\x00" in text:
        raise ValueError("text of the database holds no NUL")
    return text


@dataclass(frozen=True, slots=True)
class Keyset:
    """The columns that order a list, with what turns their text in a URL back into values."""

    fields: tuple[str, ...]
    parsers: tuple[Callable[[str], Any], ...]
    descending: bool = True

    def ordering(self, *, reverse: bool = False) -> list[str]:
        sign = "-" if self.descending is not reverse else ""
        return [f"{sign}{name}" for name in self.fields]

    def cursor_of(self, row: Model) -> str:
        return json.dumps([str(getattr(row, name)) for name in self.fields], ensure_ascii=False)

    def parse(self, cursor: str) -> tuple[Any, ...]:
        """
        Raises:
            BadCursor: it does not fit this list.
        """
        try:
            values = json.loads(cursor)
            return tuple(parse(value) for parse, value in zip(self.parsers, values, strict=True))
        except (ValueError, TypeError, AttributeError) as error:
            raise BadCursor(cursor) from error

    def beyond(self, values: Sequence[Any], *, backwards: bool = False, inclusive: bool = False) -> "Lookup[Any]":
        """The condition that a row comes after `values` (or before, or at) in the list's order."""
        down = self.descending is not backwards
        kind: type[Lookup[Any]] = {
            (True, False): LessThan,
            (True, True): LessThanOrEqual,
            (False, False): GreaterThan,
            (False, True): GreaterThanOrEqual,
        }[down, inclusive]
        if len(self.fields) == 1:
            return kind(F(self.fields[0]), Value(values[0]))
        return kind(_Row(*map(F, self.fields)), _Row(*map(Value, values)))


class _Row(Func):
    """A row constructor: PostgreSQL compares rows column by column and uses an index on them."""

    template = "(%(expressions)s)"
    output_field = BooleanField()


BY_ID = Keyset(("pk",), (UUID,))
BY_NUMBER = Keyset(("pk",), (position,))


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page; `newer` and `older` are the query parameters of its neighbours, None where none is."""

    rows: list[Any]
    newer: Mapping[str, str] | None
    older: Mapping[str, str] | None
    is_first: bool = field(default=False)


def read_page(queryset: QuerySet[Any], keyset: Keyset, parameters: Mapping[str, str], size: int) -> Page:
    """The page that `parameters` ask for: after=CURSOR, before=CURSOR, end=1, at=KEY (the rows from KEY on).

    Raises:
        BadCursor: a cursor that does not fit.
    """
    if "after" in parameters:
        start = queryset.filter(keyset.beyond(keyset.parse(parameters["after"])))
        return _forwards(start, keyset, size, is_first=False)
    if "at" in parameters and len(keyset.fields) == 1:
        start = queryset.filter(keyset.beyond(keyset.parse(json.dumps([parameters["at"]])), inclusive=True))
        return _forwards(start, keyset, size, is_first=False)
    if "before" in parameters:
        end = queryset.filter(keyset.beyond(keyset.parse(parameters["before"]), backwards=True))
        return _backwards(end, keyset, size, is_last=False)
    if "end" in parameters:
        return _backwards(queryset, keyset, size, is_last=True)
    return _forwards(queryset, keyset, size, is_first=True)


def _forwards(queryset: QuerySet[Any], keyset: Keyset, size: int, *, is_first: bool) -> Page:
    rows = list(queryset.order_by(*keyset.ordering())[: size + 1])
    rows, has_more = rows[:size], len(rows) > size
    return Page(
        rows,
        newer=None if is_first or not rows else {"before": keyset.cursor_of(rows[0])},
        older={"after": keyset.cursor_of(rows[-1])} if has_more else None,
        is_first=is_first,
    )


def _backwards(queryset: QuerySet[Any], keyset: Keyset, size: int, *, is_last: bool) -> Page:
    rows = list(queryset.order_by(*keyset.ordering(reverse=True))[: size + 1])
    rows, has_more = rows[:size][::-1], len(rows) > size
    return Page(
        rows,
        newer={"before": keyset.cursor_of(rows[0])} if has_more else None,
        older=None if is_last or not rows else {"after": keyset.cursor_of(rows[-1])},
        is_first=not has_more,
    )


COUNTED_UP_TO = 1000


def size_of(model: type[Model]) -> str:
    """How many rows a table has, in words, at the same cost for any size: "12", "about 10000000".

    Few rows are counted; for many, PostgreSQL's estimate is told, which lags behind until autovacuum has looked.
    """
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(%s)", [table])
        (estimate,) = cursor.fetchone() or (-1,)
        if estimate > COUNTED_UP_TO:
            return f"about {estimate}"
        cursor.execute(f"SELECT count(*) FROM (SELECT FROM {table} LIMIT {COUNTED_UP_TO + 1}) AS few")
        (count,) = cursor.fetchone() or (0,)
    return str(count) if count <= COUNTED_UP_TO else f"more than {COUNTED_UP_TO}"
