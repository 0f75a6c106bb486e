"""PostgreSQL's arrays in its binary form, made and read whole.

psycopg adapts a list item by item, in Python: for a batch of small commands that cost more than deciding them. And
text is slow to read on the other side, numbers, ids and times above all. These are for arrays of one dimension and no
NULLs; cast them in the statement (`$1::uuid[]`), so that PostgreSQL expects the type that is sent.

The form (array_send in PostgreSQL's arrayfuncs.c): dimensions, a flag for NULLs, the items' type, how many, the first
index; then each item behind its length. Where all items are of one length, that length is what stands between them.
"""

import struct
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TypeVar
from uuid import UUID

T = TypeVar("T")

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Where PostgreSQL counts from."""
_HEAD = struct.Struct(">iiIii").pack
_EMPTY = struct.Struct(">iiI").pack
_LENGTH = struct.Struct(">i").pack
_INT2, _INT4, _INT8 = struct.Struct(">h").pack, struct.Struct(">i").pack, struct.Struct(">q").pack
_HEAD_SIZE = 20
_BYTEA, _BIGINT, _SMALLINT, _INTEGER, _TEXT, _MOMENT, _UUID, _JSONB = 17, 20, 21, 23, 25, 1184, 2950, 3802
_OF_JSONB = b"\x01"
"""The version of jsonb's binary form."""


def uuids(values: Iterable[UUID]) -> bytes:
    return _of_one_length(_UUID, 16, [value.bytes for value in values])


def bigints(values: Iterable[int]) -> bytes:
    return _of_one_length(_BIGINT, 8, [_INT8(value) for value in values])


def integers(values: Iterable[int]) -> bytes:
    return _of_one_length(_INTEGER, 4, [_INT4(value) for value in values])


def smallints(values: Iterable[int]) -> bytes:
    return _of_one_length(_SMALLINT, 2, [_INT2(value) for value in values])


def moments(values: Iterable[datetime]) -> bytes:
    """Of timestamptz; aware datetimes."""
    return _of_one_length(_MOMENT, 8, [moment(value) for value in values])


def texts(values: Iterable[str]) -> bytes:
    """Of any text without NUL, which PostgreSQL's text cannot hold (it refuses the statement)."""
    return _of_any_length(_TEXT, [value.encode() for value in values])


def byteas(values: Iterable[bytes]) -> bytes:
    return _of_any_length(_BYTEA, list(values))


def jsons(values: Iterable[bytes]) -> bytes:
    """Of jsonb; each value is JSON in UTF-8."""
    return _of_any_length(_JSONB, [_OF_JSONB + value for value in values])


@lru_cache(maxsize=1024)  # the events of a batch share theirs
def moment(value: datetime) -> bytes:
    """A timestamptz by itself."""
    since = value - _EPOCH
    return _INT8((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


def _of_one_length(kind: int, length: int, items: list[bytes]) -> bytes:
    if not items:
        return _EMPTY(0, 0, kind)
    prefix = _LENGTH(length)
    return b"".join((_HEAD(1, 0, kind, len(items), 1), prefix, prefix.join(items)))


def _of_any_length(kind: int, items: list[bytes]) -> bytes:
    if not items:
        return _EMPTY(0, 0, kind)
    parts = [_HEAD(1, 0, kind, len(items), 1)]
    for item in items:
        parts += (_LENGTH(len(item)), item)
    return b"".join(parts)


def read_uuids(array: bytes | None) -> list[UUID]:
    return _read(array, ">i16s", lambda value: UUID(bytes=value))


def read_bigints(array: bytes | None) -> list[int]:
    return _read(array, ">iq", int)


def read_moments(array: bytes | None) -> list[datetime]:
    return _read(array, ">iq", _moment_after)


def read_byteas(array: bytes | None, length: int) -> list[bytes]:
    """Of bytea that are all so long."""
    return _read(array, f">i{length}s", bytes)


def read_moment(value: bytes) -> datetime:
    """A timestamptz by itself."""
    return _moment_after(*struct.unpack(">q", value))


def _read(array: bytes | None, form: str, made_from: Callable[..., T]) -> list[T]:
    """Items of one length; an array of none, also for NULL, is an empty list."""
    if array is None:
        return []
    return [made_from(value) for _, value in struct.iter_unpack(form, array[_HEAD_SIZE:])]


def _moment_after(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
