"""Idempotency: what a caller's key led to, remembered in the transaction that did it."""

import hashlib
import struct
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from msgspec import Struct

from eventstore import arrays
from eventstore.hashing import canonical_json
from ops.database.exchange import Part

_PAIR = struct.Struct(">ii")
MAX_GUARDED_KEYS = 256
"""Batches up to this size say at once that a key is being worked on; larger ones wait for it. PostgreSQL's table
of locks is bounded, and each guarded key takes a place in it until the transaction ends."""


class IdempotencyKey(Struct, frozen=True):
    """A caller's key: `scope` is the caller, so that two callers may choose the same key.

    `fingerprint` (32 bytes) tells one request from another that came with the same key.
    """

    scope: str
    key: str
    fingerprint: bytes

    @property
    def identity(self) -> tuple[str, str]:
        return self.scope, self.key

    def lock_pair(self) -> tuple[int, int]:
        """The key's advisory lock: two signed 32-bit numbers."""
        digest = hashlib.sha256(f"{len(self.scope)}:{self.scope}{self.key}".encode()).digest()
        return _PAIR.unpack_from(digest)


class IdempotencyRecord(Struct, frozen=True):
    """What the key led to; `result` is the answer, JSON-ready."""

    key: IdempotencyKey
    command_id: UUID
    aggregate_id: UUID
    result: dict[str, Any]


def fingerprint(content: dict[str, Any]) -> bytes:
    """SHA-256 of what was asked, 32 bytes; `content` is JSON-ready."""
    return hashlib.sha256(canonical_json(content)).digest()


def insertion(records: Sequence[IdempotencyRecord], at: datetime) -> Part:
    """Remembers what keys led to. A key that another transaction committed meanwhile fails the whole statement, as
    ConcurrentIdempotencyKey."""
    return Part(
        """
        INSERT INTO idempotency_records (scope, key, fingerprint, command_id, aggregate_id, result, created_at)
        SELECT *, %s::timestamptz
          FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::uuid[], %s::uuid[], %s::jsonb[])
        """,
        (
            arrays.moment(at),
            arrays.texts(record.key.scope for record in records),
            arrays.texts(record.key.key for record in records),
            arrays.byteas(record.key.fingerprint for record in records),
            arrays.uuids(record.command_id for record in records),
            arrays.uuids(record.aggregate_id for record in records),
            arrays.jsons(orjson.dumps(record.result) for record in records),
        ),
    )
