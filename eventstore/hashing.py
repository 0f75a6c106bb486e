"""The hash chain of a stream: what each event's hash covers, byte for byte.

hash = SHA-256 over the length-prefixed fields (4 bytes, big-endian, then the field)
    previous hash (32 zero bytes for the first event) | aggregate id (16 bytes) | version (8 bytes)
    | event id (16) | command id (16) | event type (UTF-8) | schema version (2) | timestamp (8: microseconds
    since 1970, UTC) | data | metadata

with data and metadata as canonical JSON: UTF-8, keys sorted, no white space. Both survive PostgreSQL's jsonb
unchanged, because the store takes no floats. The position is not covered: it is drawn after the hash is made.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

GENESIS = bytes(32)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def canonical_json(value: dict[str, Any]) -> bytes:
    """The one byte form of a JSON object.

    Raises:
        TypeError: a value that JSON or jsonb would not give back unchanged, such as a float.
    """
    _refuse_floats(value)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise TypeError("events hold no floats: write money as integer minor units, other numbers as strings")
    if isinstance(value, dict):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, list):
        for item in value:
            _refuse_floats(item)


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
    digest = hashlib.sha256()
    for field in (
        previous,
        aggregate_id.bytes,
        version.to_bytes(8, "big"),
        event_id.bytes,
        command_id.bytes,
        event_type.encode(),
        schema_version.to_bytes(2, "big"),
        microseconds.to_bytes(8, "big", signed=True),
        data,
        metadata,
    ):
        digest.update(len(field).to_bytes(4, "big"))
        digest.update(field)
    return digest.digest()
