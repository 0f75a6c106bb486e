"""Appending, in two round trips: the first claims the keys of commands, locks their streams and reads what the keys
have led to so far; then heads are extended in memory, event by event; the second writes all of it in one call.

with write_transaction() as exchange:
    opened = Opening(exchange, ids).fetch()
    append = Append(opened.heads, "account")
    append.add(new_event, command)           # any number, over any streams
    append.write(exchange)
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any
from uuid import UUID

import orjson
import psycopg
from django.db import connection
from msgspec import Struct

from eventstore import arrays
from eventstore.events import NewEvent, new_id
from eventstore.hashing import GENESIS, HASH_LENGTH, canonical_json, chain_hash
from eventstore.idempotency import MAX_GUARDED_KEYS, IdempotencyKey, IdempotencyRecord
from ops.database.exchange import Answer, Exchange, Part

UNSTARTED = datetime(1970, 1, 1, tzinfo=UTC)


def in_order(ids: Iterable[UUID]) -> list[UUID]:
    """Ids as PostgreSQL sorts them, which is the order in which all writers lock."""
    return sorted(ids, key=_NUMBER)


_NUMBER = attrgetter("int")
"""Of an id. Ids compare by it as well, but in Python, each time."""


class StreamHead(Struct):
    """Where a stream ends: its version, the hash of its last event and when that was recorded."""

    aggregate_id: UUID
    version: int = 0
    hash: bytes = GENESIS
    last_timestamp: datetime = UNSTARTED


@dataclass(frozen=True, slots=True)
class Opened:
    """Locked heads by stream (those that exist), records by (scope, key), the keys that another transaction works
    on, and the database's clock once all locks were held."""

    heads: dict[UUID, StreamHead]
    records: dict[tuple[str, str], IdempotencyRecord]
    in_progress: set[tuple[str, str]]
    at: datetime


class Opening:
    """The first round trip: sent, and not yet waited for. `patience_ms`: the longest wait for one lock, in place of
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


def lock_heads(conn: psycopg.Connection, stream_ids: Iterable[UUID]) -> dict[UUID, StreamHead]:
    """Locks streams in id order until the end of the transaction, for work that executes no command; the heads of
    those that exist."""
    cursor = psycopg.Cursor(conn)
    cursor.execute(
        "SELECT aggregate_id, version, head_hash, last_timestamp FROM lock_streams(%s::uuid[])",
        (in_order(set(stream_ids)),),
    )
    return {row[0]: StreamHead(row[0], row[1], bytes(row[2]), row[3]) for row in cursor.fetchall()}


def held_streams(stream_ids: Iterable[UUID]) -> set[UUID]:
    """Those that another transaction holds now. Not to be asked within one, which would keep the others locked."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT held_streams(%s::uuid[])", (list(stream_ids),))
        (held,) = cursor.fetchone()
    return set(held)


class CommandStamp(Struct, frozen=True):
    """What all events of one command share. `metadata` is canonical JSON."""

    command_id: UUID
    recorded_at: datetime
    metadata: bytes


class Append:
    """Events to be written together: all of them, or none."""

    def __init__(self, heads: Mapping[UUID, StreamHead], aggregate_type: str) -> None:
        self._heads = dict(heads)
        self._aggregate_type = aggregate_type
        self._expected: dict[UUID, int] = {}
        self._events: list[tuple[Any, ...]] = []

    def __len__(self) -> int:
        return len(self._events)

    def head(self, aggregate_id: UUID) -> StreamHead:
        """The head as it will be when all that was added is written; version 0 for a new stream."""
        head = self._heads.get(aggregate_id)
        if head is None:
            head = self._heads[aggregate_id] = StreamHead(aggregate_id)
        return head

    def time_after(self, aggregate_id: UUID, now: datetime) -> datetime:
        """When the next event of a stream is recorded: no earlier than the one before it."""
        return max(now, self.head(aggregate_id).last_timestamp)

    def add(self, new: NewEvent, stamp: CommandStamp) -> int:
        """Puts an event behind the last one of its stream, no earlier in time; returns its version."""
        head = self.head(new.aggregate_id)
        self._expected.setdefault(head.aggregate_id, head.version)
        data = canonical_json(new.data)
        version = head.version + 1
        timestamp = self.time_after(new.aggregate_id, stamp.recorded_at)
        event_id = new_id()
        hash_ = chain_hash(
            head.hash,
            aggregate_id=new.aggregate_id,
            version=version,
            event_id=event_id,
            command_id=stamp.command_id,
            event_type=new.event_type,
            schema_version=new.schema_version,
            timestamp=timestamp,
            data=data,
            metadata=stamp.metadata,
        )
        head.version, head.hash, head.last_timestamp = version, hash_, timestamp
        self._events.append(
            (
                new.aggregate_id,
                new.event_type,
                version,
                event_id,
                new.schema_version,
                stamp.command_id,
                data,
                stamp.metadata,
                timestamp,
                hash_,
            )
        )
        return version

    def write(self, exchange: Exchange, *beside: Part) -> Answer:
        """Sends the append, and what is to be written beside it, as one statement; its value, once asked for, is the
        last position drawn. What is added after that is for another one.

        Raises (when it is answered, at the latest with the commit):
            OptimisticConcurrencyConflict: a stream moved since its head was read.
        """
        streams = [self._heads[aggregate_id] for aggregate_id in in_order(self._expected)]
        places = {head.aggregate_id: place for place, head in enumerate(streams, start=1)}
        expected, self._expected = self._expected, {}
        event_streams, *columns = zip(*self._events, strict=True)
        self._events = []
        return exchange.send(
            _statement(tuple(part.sql for part in beside)),
            (
                *(value for part in beside for value in part.parameters),
                self._aggregate_type,
                arrays.uuids(places),
                arrays.bigints(expected[aggregate_id] for aggregate_id in places),
                arrays.bigints(head.version for head in streams),
                arrays.byteas(head.hash for head in streams),
                arrays.moments(head.last_timestamp for head in streams),
                arrays.integers(map(places.__getitem__, event_streams)),
                *(array(column) for array, column in zip(_COLUMNS, columns, strict=True)),
            ),
        )


@lru_cache(maxsize=16)
def _statement(beside: tuple[str, ...]) -> str:
    """The append with the statements beside it, its parameters numbered."""
    parts = ", ".join(f"part_{number} AS ({sql})" for number, sql in enumerate(beside))
    first, *rest = (f"WITH {parts} {_APPEND}" if parts else _APPEND).split("%s")
    return first + "".join(f"${number}{text}" for number, text in enumerate(rest, start=1))


_COLUMNS: tuple[Callable[[Any], bytes], ...] = (
    arrays.texts,
    arrays.bigints,
    arrays.uuids,
    arrays.smallints,
    arrays.uuids,
    arrays.jsons,
    arrays.jsons,
    arrays.moments,
    arrays.byteas,
)
"""How each column of `Append._events` is written, behind the stream's id."""

_APPEND = """
    SELECT append_events(%s::text, %s::uuid[], %s::bigint[], %s::bigint[], %s::bytea[], %s::timestamptz[],
                         %s::int[], %s::text[], %s::bigint[], %s::uuid[], %s::smallint[], %s::uuid[],
                         %s::jsonb[], %s::jsonb[], %s::timestamptz[], %s::bytea[])
"""
