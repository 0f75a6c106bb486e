"""The first round trip of a batch of commands: keys claimed, streams locked, and what they have led to so far."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import psycopg

from eventstore import arrays
from eventstore.appending import StreamHead
from eventstore.idempotency import MAX_GUARDED_KEYS, IdempotencyKey, IdempotencyRecord


@dataclass(frozen=True, slots=True)
class Opened:
    """Locked heads by stream (those that exist), records by (scope, key), the keys that another transaction works
    on, and the database's clock once all locks were held."""

    heads: dict[UUID, StreamHead]
    records: dict[tuple[str, str], IdempotencyRecord]
    in_progress: set[tuple[str, str]]
    at: datetime


class Opening:
    """The call under way: sent, and not yet waited for. `patience_ms`: the longest wait for one lock, in place of
    LOCK_TIMEOUT_MS."""

    def __init__(
        self,
        conn: psycopg.Connection,
        stream_ids: Iterable[UUID],
        keys: Sequence[IdempotencyKey],
        patience_ms: int | None = None,
    ) -> None:
        self._keys = keys
        pairs = [key.lock_pair() for key in keys] if len(keys) <= MAX_GUARDED_KEYS else []
        self._cursor = psycopg.Cursor(conn).execute(
            """
            SELECT ids, versions, head_hashes, last_timestamps, claimed_elsewhere, records, at
              FROM open_commands(%s::uuid[], %s::int[], %s::int[], %s::text[], %s::text[], %s::int)
            """,
            (
                arrays.plain(sorted(set(stream_ids))),
                arrays.plain(a for a, _ in pairs),
                arrays.plain(b for _, b in pairs),
                arrays.texts(key.scope for key in keys),
                arrays.texts(key.key for key in keys),
                patience_ms,
            ),
            prepare=True,
            binary=True,  # times are read several times faster than from text
        )

    def fetch(self) -> Opened:
        """Waits for the locks. Raises what the transaction raises: see `eventstore.transaction`."""
        row = self._cursor.fetchone()
        assert row is not None, "the function returns one row"
        ids, versions, hashes, timestamps, claimed, records, at = row
        return Opened(
            {id_: StreamHead(id_, *rest) for id_, *rest in zip(ids, versions, hashes, timestamps, strict=True)}
            if ids
            else {},
            {record.key.identity: record for record in map(_record, orjson.loads(records or "[]"))},
            {self._keys[index].identity for index in claimed},
            at,
        )


def _record(row: list[Any]) -> IdempotencyRecord:
    scope, key, fingerprint, command_id, aggregate_id, result = row
    found = IdempotencyKey(scope, key, bytes.fromhex(fingerprint))
    return IdempotencyRecord(found, UUID(command_id), UUID(aggregate_id), result)
