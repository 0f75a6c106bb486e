"""The first round trip of a batch of commands: keys claimed, streams locked, and what they have led to so far."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from eventstore import arrays
from eventstore.appending import StreamHead, in_order
from eventstore.hashing import HASH_LENGTH
from eventstore.idempotency import MAX_GUARDED_KEYS, IdempotencyKey, IdempotencyRecord
from ops.database.exchange import Exchange


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
        exchange: Exchange,
        stream_ids: Iterable[UUID],
        keys: Sequence[IdempotencyKey] = (),
        patience_ms: int | None = None,
    ) -> None:
        self._keys = keys
        pairs = [key.lock_pair() for key in keys] if len(keys) <= MAX_GUARDED_KEYS else []
        self._answer = exchange.send(
            """
            SELECT ids, versions, head_hashes, last_timestamps, claimed_elsewhere, records, at
              FROM open_commands($1::uuid[], $2::int[], $3::int[], $4::text[], $5::text[], $6::int)
            """,
            (
                arrays.uuids(in_order(set(stream_ids))),
                arrays.integers(a for a, _ in pairs),
                arrays.integers(b for _, b in pairs),
                arrays.texts(key.scope for key in keys),
                arrays.texts(key.key for key in keys),
                None if patience_ms is None else str(patience_ms),
            ),
            binary=True,
        )

    def fetch(self) -> Opened:
        """Waits for the locks. Raises what the transaction raises: see `eventstore.transaction`."""
        ((ids, versions, hashes, last_timestamps, claimed, records, at),) = self._answer.rows()
        heads = map(
            StreamHead,
            arrays.read_uuids(ids),
            arrays.read_bigints(versions),
            arrays.read_byteas(hashes, HASH_LENGTH),
            arrays.read_moments(last_timestamps),
        )
        return Opened(
            {head.aggregate_id: head for head in heads},
            {record.key.identity: record for record in map(_record, orjson.loads(records or b"[]"))},
            {self._keys[index].identity for index in arrays.read_bigints(claimed)},
            arrays.read_moment(at),
        )


def _record(row: list[Any]) -> IdempotencyRecord:
    scope, key, fingerprint, command_id, aggregate_id, result = row
    found = IdempotencyKey(scope, key, bytes.fromhex(fingerprint))
    return IdempotencyRecord(found, UUID(command_id), UUID(aggregate_id), result)
