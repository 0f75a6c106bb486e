"""Idempotency: what a caller's key led to, remembered in the transaction that did it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import psycopg

from eventstore.hashing import canonical_json

MAX_GUARDED_KEYS = 256
"""Batches up to this size say at once that a key is being worked on; larger ones wait for it. PostgreSQL's table
of locks is bounded, and each guarded key takes a place in it until the transaction ends."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
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
        return int.from_bytes(digest[:4], "big", signed=True), int.from_bytes(digest[4:8], "big", signed=True)


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """What the key led to; `result` is the answer, JSON-ready."""

    key: IdempotencyKey
    command_id: UUID
    aggregate_id: UUID
    result: dict[str, Any]


def fingerprint(content: dict[str, Any]) -> bytes:
    """SHA-256 of what was asked, 32 bytes; `content` is JSON-ready."""
    return hashlib.sha256(canonical_json(content)).digest()


def send_guard(conn: psycopg.Connection, keys: Sequence[IdempotencyKey]) -> psycopg.Cursor[Any]:
    """Claims keys until the end of the transaction; rows are the indexes of keys that another one has claimed."""
    pairs = [key.lock_pair() for key in keys[:MAX_GUARDED_KEYS]] if len(keys) <= MAX_GUARDED_KEYS else []
    cursor = psycopg.Cursor(conn)
    cursor.execute(
        """
        SELECT k.ordinality - 1
          FROM unnest(%s::int[], %s::int[]) WITH ORDINALITY AS k (a, b, ordinality)
         WHERE NOT pg_try_advisory_xact_lock(k.a, k.b)
        """,
        ([a for a, _ in pairs], [b for _, b in pairs]),
        prepare=True,
    )
    return cursor


def send_lookup(conn: psycopg.Connection, keys: Sequence[IdempotencyKey]) -> psycopg.Cursor[Any]:
    """Asks for the records of keys; read them with `fetch_records`."""
    cursor = psycopg.Cursor(conn)
    cursor.execute(
        """
        SELECT r.scope, r.key, r.fingerprint, r.command_id, r.aggregate_id, r.result::text
          FROM idempotency_records r
          JOIN unnest(%s::text[], %s::text[]) AS k (scope, key) USING (scope, key)
        """,
        ([key.scope for key in keys], [key.key for key in keys]),
        prepare=True,
    )
    return cursor


def fetch_records(cursor: psycopg.Cursor[Any]) -> dict[tuple[str, str], IdempotencyRecord]:
    """The records found, by (scope, key)."""
    return {
        (scope, key): IdempotencyRecord(
            IdempotencyKey(scope, key, bytes(print_)), command_id, aggregate_id, orjson.loads(result)
        )
        for scope, key, print_, command_id, aggregate_id, result in cursor.fetchall()
    }


def write_records(conn: psycopg.Connection, records: Sequence[IdempotencyRecord], at: datetime) -> None:
    """Remembers what keys led to.

    Raises (when the pipeline is synchronised):
        ConcurrentIdempotencyKey: another transaction committed one of the keys meanwhile.
    """
    psycopg.Cursor(conn).execute(
        """
        INSERT INTO idempotency_records (scope, key, fingerprint, command_id, aggregate_id, result, created_at)
        SELECT *, %s::timestamptz
          FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::uuid[], %s::uuid[], %s::text[]::jsonb[])
        """,
        (
            at,
            [record.key.scope for record in records],
            [record.key.key for record in records],
            [record.key.fingerprint for record in records],
            [record.command_id for record in records],
            [record.aggregate_id for record in records],
            [orjson.dumps(record.result).decode() for record in records],
        ),
        prepare=True,
    )
