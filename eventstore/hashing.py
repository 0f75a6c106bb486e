"""The hash chain of a stream: what each event's hash covers, byte for byte.

hash = SHA-256 over the length-prefixed fields (4 bytes, big-endian, then the field)
    previous hash (32 zero bytes for the first event) | aggregate id (16 bytes) | version (8 bytes)
    | event id (16) | command id (16) | event type (UTF-8) | schema version (2) | timestamp (8: microseconds
    since 1970, UTC) | data | metadata

with data and metadata as canonical JSON: UTF-8, keys sorted, no white space. Both survive PostgreSQL's jsonb
unchanged, because the store takes no floats. The position is not covered: it is drawn after the hash is made.
"""

import hashlib
import struct
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

HASH_LENGTH = 32
GENESIS = bytes(HASH_LENGTH)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HARMLESS = frozenset({str, int, bool, type(None)})
_LENGTH = struct.Struct(">I").pack
_FIXED = struct.Struct(">I32sI16sIQI16sI16s").pack
"""The fields up to the event type, whose lengths never differ."""
_TIMED = struct.Struct(">IHIqI").pack
"""Schema version and timestamp, and the length of the data."""


def canonical_json(value: dict[str, Any]) -> bytes:
    """The one byte form of a JSON object.

    Raises:
        TypeError: a value that JSON or jsonb would not give back unchanged, such as a float.
    """
    _refuse_floats(value.values())
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _refuse_floats(values: Iterable[Any]) -> None:
    for value in values:
        if type(value) in _HARMLESS:
            continue
        if isinstance(value, float):
            raise TypeError("events hold no floats: write money as integer minor units, other numbers as strings")
        if isinstance(value, dict):
            _refuse_floats(value.values())
        elif isinstance(value, list):
            _refuse_floats(value)


def chain_hash(
    previous: bytes,
    *,
    aggregate_id: UUID,
    version: int,
    event_id: UUID,
    command_id: UUID,
    event_type: str,
    schema_version: int,
    timestamp: datetime,
    data: bytes,
    metadata: bytes,
) -> bytes:
    """The hash of an event that follows `previous`; `data` and `metadata` are canonical JSON."""
    microseconds = (timestamp - _EPOCH) // _MICROSECOND
    type_ = event_type.encode()
    return hashlib.sha256(
        b"".join(
            (
                _FIXED(32, previous, 16, aggregate_id.bytes, 8, version, 16, event_id.bytes, 16, command_id.bytes),
                _LENGTH(len(type_)),
                type_,
                _TIMED(2, schema_version, 8, microseconds, len(data)),
                data,
                _LENGTH(len(metadata)),
                metadata,
            )
        )
    ).digest()
