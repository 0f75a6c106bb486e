"""Reading streams and folding them; appending to them outside of the account executor."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from eventstore import registry, snapshots
from eventstore.appending import Append, CommandStamp, Opening
from eventstore.errors import BrokenHistory, OptimisticConcurrencyConflict, StreamNotFound
from eventstore.events import COLUMNS, Context, NewEvent, StoredEvent, new_id
from eventstore.hashing import canonical_json
from eventstore.transaction import write_transaction

READ_BATCH = 500


@dataclass(frozen=True, slots=True)
class Loaded:
    """A folded stream. `snapshot_version` is where the fold began (0: at the first event)."""

    aggregate_id: UUID
    state: Any
    version: int
    snapshot_version: int
    events_read: int


def load(
    aggregate_id: UUID,
    *,
    upto_version: int | None = None,
    as_of: datetime | None = None,
    use_snapshots: bool = True,
) -> Loaded:
    """The state of a stream now, at a version, or at a moment: the nearest usable snapshot and the events after it.

    Raises:
        StreamNotFound: no such stream, or it had not begun at that version or moment.
        UnknownEventType: an event that this code does not know.
        BrokenHistory: a hole in the versions.
    """
    if as_of is not None:
        version_then = version_at(aggregate_id, as_of)
        upto_version = version_then if upto_version is None else min(version_then, upto_version)
    snapshot = snapshots.find(aggregate_id, upto_version) if use_snapshots else None
    state = snapshot.state if snapshot else None
    version = start = snapshot.version if snapshot else 0
    for stored, folded in fold(aggregate_id, state, after_version=start, upto_version=upto_version):
        version, state = stored.version, folded
    if state is None:
        raise StreamNotFound(aggregate_id)
    return Loaded(aggregate_id, state, version, start, version - start)


def fold(
    aggregate_id: UUID, state: Any, *, after_version: int, upto_version: int | None = None
) -> Iterator[tuple[StoredEvent, Any]]:
    """Each event after a version, with the state that it makes; `state` is that of the version begun with.

    Raises:
        UnknownEventType: an event that this code does not know.
        BrokenHistory: a hole in the versions.
    """
    version = after_version
    for stored in read_stream(aggregate_id, after_version=after_version, upto_version=upto_version):
        version += 1
        if stored.version != version:
            raise BrokenHistory(f"stream {aggregate_id} has no version {version}")
        evolve = registry.aggregate_type(stored.aggregate_type).evolve
        state = evolve(state, aggregate_id, stored.event)
        yield stored, state


def version_of(aggregate_id: UUID) -> int:
    """The version of a stream's head; 0 where there is no such stream."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT version FROM streams WHERE aggregate_id = %s", (aggregate_id,))
        row = cursor.fetchone()
        return int(row[0]) if row else 0


def version_at(aggregate_id: UUID, moment: datetime) -> int:
    """The version at which a stream stood at a moment, by the time of recording; 0 before its first event."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT version_at(%s, %s)", (aggregate_id, moment))
        return int(cursor.fetchone()[0])


def read_stream(
    aggregate_id: UUID, *, after_version: int = 0, upto_version: int | None = None
) -> Iterator[StoredEvent]:
    """The events of a stream in order, read in batches; versions in (after_version, upto_version]."""
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {COLUMNS} FROM events"
                " WHERE aggregate_id = %s AND version > %s AND version <= %s ORDER BY version LIMIT %s",
                (aggregate_id, after_version, 2**62 if upto_version is None else upto_version, READ_BATCH),
            )
            rows = cursor.fetchall()
        for row in rows:
            yield StoredEvent.from_row(row)
        if len(rows) < READ_BATCH:
            return
        after_version = rows[-1][3]


def append(
    aggregate_type: str, events: Sequence[NewEvent], *, expected: Mapping[UUID, int], context: Context
) -> UUID:
    """Appends events to one or many streams, all or nothing, as one command; returns the command's id.

    `expected` gives the version of each stream that the caller built on; 0: it must be new.

    Raises:
        OptimisticConcurrencyConflict: a stream is elsewhere. And what `write_transaction` raises.
        ValueError: an event's stream has no expected version.
    """
    if missing := {new.aggregate_id for new in events} - set(expected):
        raise ValueError(f"no expected version for {sorted(map(str, missing))}")
    command_id = new_id()
    with write_transaction() as exchange:
        opened = Opening(exchange, expected).fetch()
        pending = Append(opened.heads, aggregate_type)
        for aggregate_id in sorted(expected):
            actual = pending.head(aggregate_id).version
            if actual != expected[aggregate_id]:
                raise OptimisticConcurrencyConflict(aggregate_id, expected[aggregate_id], actual)
        stamp = CommandStamp(command_id, opened.at, canonical_json(context.metadata()))
        for new in events:
            pending.add(new, stamp)
        if len(pending):
            pending.write(exchange)
    return command_id
