"""Dead letters: events that a projection could not take, and those parked behind them.

States: `failed` blocks its stream; `parked` waits behind it; `applied` and `discarded` are resolved; `superseded`
belongs to a generation that was replaced, and waits again where that is undone; `unreadable` is a message that was no
event (its event is taken from the feed instead), which waits until somebody has acknowledged it.
"""

import traceback
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, transaction

from eventstore import feed
from eventstore.errors import EventStoreError, LockTimeout
from eventstore.events import COLUMNS, StoredEvent
from eventstore.projections import checkpoints
from eventstore.projections.base import Projection
from eventstore.projections.base import get as get_read_model
from eventstore.projections.checkpoints import Generation

MAX_REDRIVE = 10_000
"""Most events of one stream that one redrive applies; the next one goes on."""
WAITING = ("failed", "parked")
"""States of events that are applied when their stream is retried."""
KEPT_BYTES = 64 * 1024
"""Most that is kept of the key and of the value of a message that could not be read."""


class NotResolvable(EventStoreError):
    """The letter cannot be retried, discarded or acknowledged like this; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Redrive:
    """What a retry did: how many events of the stream were applied, and the error that stopped it ("" for none)."""

    applied: int
    left: int
    error: str


def left_out(cursor: Any, generation: Generation, aggregate_id: UUID | None = None) -> dict[int, str]:
    """Events that the tables of a generation lack although its checkpoints lie past them: the states of their letters
    by position."""
    cursor.execute(
        "SELECT position, state FROM dead_letters WHERE projection = %s AND generation = %s"
        " AND (%s::uuid IS NULL OR aggregate_id = %s) AND state IN ('failed', 'parked', 'discarded')",
        (generation.projection, generation.number, aggregate_id, aggregate_id),
    )
    return dict(cursor.fetchall())


def left_out_in_words(name: str, states: Collection[str]) -> str:
    """What a read model leaves out, and how to cure it; "" where it lacks nothing."""
    if not states:
        return ""
    counts = ", ".join(f"{count} {state}" for state, count in sorted(Counter(states).items()))
    return (
        f"{name} leaves out {len(states)} events as dead letters ({counts}): dead_letters retry applies those that "
        f"wait; rebuild_projection {name} tries all of them again, also those that were discarded."
    )


# -- on the way in, inside the transaction that applies a batch


def blocked_streams(cursor: Any, generation: Generation, streams: Collection[UUID]) -> set[UUID]:
    """Which of the streams have an event that failed and is not resolved."""
    cursor.execute(
        "SELECT DISTINCT aggregate_id FROM dead_letters WHERE projection = %s AND generation = %s"
        " AND state IN ('failed', 'parked') AND aggregate_id = ANY (%s)",
        (generation.projection, generation.number, list(streams)),
    )
    return {aggregate_id for (aggregate_id,) in cursor.fetchall()}


def are_blocked(cursor: Any, generation: Generation, streams: str) -> bool:
    """Whether any of the streams, given as text of a uuid[], has an event that failed and is not resolved."""
    cursor.execute(
        "SELECT EXISTS (SELECT FROM dead_letters WHERE projection = %s AND generation = %s"
        " AND state IN ('failed', 'parked') AND aggregate_id = ANY (%s::uuid[]))",
        (generation.projection, generation.number, streams),
    )
    return bool(cursor.fetchone()[0])


def is_any_blocked(cursor: Any, generation: Generation) -> bool:
    """Whether there is a stream with an event that failed and is not resolved."""
    cursor.execute(
        "SELECT EXISTS (SELECT FROM dead_letters WHERE projection = %s AND generation = %s"
        " AND state IN ('failed', 'parked'))",
        (generation.projection, generation.number),
    )
    return bool(cursor.fetchone()[0])


def park(cursor: Any, generation: Generation, events: Sequence[StoredEvent]) -> None:
    """Puts events behind the one that blocks their stream."""
    for event in events:
        _insert(cursor, generation, event, state="parked")


def bury(cursor: Any, generation: Generation, event: StoredEvent, error: Exception, attempts: int) -> None:
    """Records an event that cannot be applied."""
    _insert(cursor, generation, event, state="failed", attempts=attempts, error=error)


def _insert(
    cursor: Any,
    generation: Generation,
    event: StoredEvent,
    *,
    state: str,
    attempts: int = 0,
    error: Exception | None = None,
) -> None:
    cursor.execute(
        """
        INSERT INTO dead_letters (state, projection, generation, position, aggregate_id, version, event_type,
                                  attempts, error, traceback, last_attempt_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, CASE WHEN %s > 0 THEN clock_timestamp() END)
        """,
        (
            state,
            generation.projection,
            generation.number,
            event.position,
            event.aggregate_id,
            event.version,
            event.event_type,
            attempts,
            _short(error),
            _trace(error),
            attempts,
        ),
    )


def _short(error: Exception | None) -> str:
    return "" if error is None else f"{type(error).__name__}: {error}"[:2000].replace("\0", "")


def _trace(error: Exception | None) -> str:
    return "" if error is None else "".join(traceback.format_exception(error))[-20_000:].replace("\0", "")


def record_unreadable(
    *, topic: str, partition: int, offset: int, key: bytes | None, value: bytes | None, error: Exception
) -> None:
    """Keeps a message that could not be read as an event, once, or its beginning; it blocks nothing."""
    told, kept = _short(error), [content and content[:KEPT_BYTES] for content in (key, value)]
    for name, content in (("key", key), ("value", value)):
        if content and len(content) > KEPT_BYTES:
            told += f" (its {name} has {len(content)} bytes: the first {KEPT_BYTES} are kept)"
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO dead_letters (state, projection, generation, error, traceback, attempts, last_attempt_at,
                                      topic, kafka_partition, kafka_offset, message_key, message_value)
            VALUES ('unreadable', '', 0, %s, %s, 1, clock_timestamp(), %s, %s, %s, %s, %s)
                ON CONFLICT DO NOTHING
            """,
            (told, _trace(error), topic, partition, offset, *kept),
        )


# -- resolving


def retry(letter_id: int, *, by: str) -> Redrive:
    """Applies the events of the letter's stream again, in order, until all are applied or one fails.

    Each event is applied and resolved in a transaction of its own with the stream's shard locked, so that nothing
    new of the stream can come between.

    Raises:
        NotResolvable: the letter blocks nothing, or its projection is not known to this code.
        LockTimeout: others work with the projection. Nothing was applied.
    """
    return _redrive(*_stream_of(letter_id, WAITING), by)


def _redrive(name: str, generation: int, aggregate_id: UUID, by: str) -> Redrive:
    projection = _projection(name)
    shards = feed.require_shard_count()
    applied, error = 0, ""
    while applied < MAX_REDRIVE:
        try:
            outcome = _apply_first(projection, generation, aggregate_id, shards, by)
        except LockTimeout as busy:
            if not applied:
                raise
            outcome = str(busy)
        if outcome is None:
            break
        if outcome:
            error = outcome
            break
        applied += 1
    return Redrive(applied, _count_left(name, generation, aggregate_id), error)


def _apply_first(
    projection: Projection[Any], generation: int, aggregate_id: UUID, shards: int, by: str
) -> str | None:
    """Applies the first event that waits: "" when it was, its error when it was not, None when none waits."""
    with checkpoints.waits_in_words(projection.name), transaction.atomic(), connection.cursor() as cursor:
        _lock(cursor, projection.name, generation, aggregate_id, shards)
        try:
            checkpoints.fitting(cursor, projection)
        except EventStoreError as error:
            raise NotResolvable(str(error)) from error
        cursor.execute(
            "SELECT id, position FROM dead_letters WHERE projection = %s AND generation = %s AND aggregate_id = %s"
            " AND state IN ('failed', 'parked') ORDER BY position LIMIT 1 FOR UPDATE",
            (projection.name, generation, aggregate_id),
        )
        if (row := cursor.fetchone()) is None:
            return None
        letter_id, position = row
        cursor.execute(f"SELECT {COLUMNS} FROM events WHERE position = %s", (position,))
        event = StoredEvent.from_row(cursor.fetchone())
        try:
            with transaction.atomic():
                projection.apply([event], cursor)
        except (OperationalError, InterfaceError):
            raise  # not the event's fault
        except Exception as error:
            return _note_failure(cursor, letter_id, error)
        cursor.execute(
            "UPDATE dead_letters SET state = 'applied', attempts = attempts + 1, resolved_at = clock_timestamp(),"
            " last_attempt_at = clock_timestamp(), resolved_by = %s WHERE id = %s",
            (by, letter_id),
        )
    return ""


def _lock(cursor: Any, name: str, generation: int, aggregate_id: UUID, shards: int) -> None:
    """Until the end of the transaction, nothing of the stream is applied or parked by anybody else."""
    checkpoints.share(cursor, name)
    current = checkpoints.active(cursor, name)
    if current.number != generation:
        raise NotResolvable("the read model was rebuilt meanwhile: look at its new dead letters")
    checkpoints.lock(cursor, current, {feed.shard_of(aggregate_id, shards)})


def _note_failure(cursor: Any, letter_id: int, error: Exception) -> str:
    cursor.execute(
        "UPDATE dead_letters SET state = 'failed', attempts = attempts + 1, error = %s, traceback = %s,"
        " last_attempt_at = clock_timestamp() WHERE id = %s",
        (_short(error), _trace(error), letter_id),
    )
    return _short(error)


def discard(letter_id: int, *, asked_by: str, by: str, reason: str) -> Redrive:
    """Leaves the event out, until the read model is made anew or wound back to before it, and applies what was parked
    behind it. It takes two persons: one who asked for it and another one who approved (see `eventstore.approvals`).

    Raises:
        NotResolvable: no reason, the same person twice, or the letter is not a failed event.
        LockTimeout: others work with the projection; before the event was left out, or after: `release` goes on then.
    """
    if not reason.strip():
        raise NotResolvable("a discard needs a reason")
    if asked_by == by:
        raise NotResolvable(f"{by} asked for this discard: a second person has to approve it")
    name, generation, aggregate_id = _stream_of(letter_id, WAITING)
    shards = feed.require_shard_count()
    with checkpoints.waits_in_words(name), transaction.atomic(), connection.cursor() as cursor:
        _lock(cursor, name, generation, aggregate_id, shards)
        cursor.execute(
            "UPDATE dead_letters SET state = 'discarded', resolved_at = clock_timestamp(), resolved_by = %s,"
            " discard_requested_by = %s, reason = %s WHERE id = %s AND state = 'failed'",
            (by, asked_by, reason.strip(), letter_id),
        )
        if not cursor.rowcount:
            raise NotResolvable(f"dead letter {letter_id} is not a failed event: only those can be discarded")
    return release(letter_id, by=by)


def release(letter_id: int, *, by: str) -> Redrive:
    """Applies what is parked behind a letter that was discarded: `discard` does, and whoever goes on with a discard
    that was interrupted.

    Raises:
        NotResolvable: the letter was not discarded.
        LockTimeout: others work with the projection. The event is left out, and what was parked still waits.
    """
    name, generation, aggregate_id = _stream_of(letter_id, ("discarded",))
    left = _count_left(name, generation, aggregate_id)
    try:
        return _redrive(name, generation, aggregate_id, by) if left else Redrive(0, 0, "")
    except NotResolvable as error:  # the event is left out all the same
        return Redrive(0, left, str(error))


def acknowledge(letter_ids: Collection[int], *, by: str, reason: str) -> None:
    """Notes that somebody has looked into messages that could not be read, all or none: they stay on record, and wait
    for nobody.

    Raises:
        NotResolvable: no reason, or one of the letters is no such message, or acknowledged already.
    """
    if not reason.strip():
        raise NotResolvable("an acknowledgement needs a reason")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE dead_letters SET resolved_at = clock_timestamp(), resolved_by = %s, reason = %s"
            " WHERE id = ANY (%s) AND state = 'unreadable' AND resolved_at IS NULL RETURNING id",
            (by, reason.strip(), list(letter_ids)),
        )
        done = {letter_id for (letter_id,) in cursor.fetchall()}
        for letter_id in letter_ids:
            if letter_id not in done:
                raise NotResolvable(f"dead letter {letter_id} is no unreadable message that waits for somebody")


def _stream_of(letter_id: int, states: Sequence[str]) -> tuple[str, int, UUID]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT projection, generation, aggregate_id FROM dead_letters WHERE id = %s AND state = ANY (%s)",
            (letter_id, list(states)),
        )
        row = cursor.fetchone()
    if row is None:
        raise NotResolvable(f"dead letter {letter_id} is resolved, or there is none of that number")
    return row[0], row[1], row[2]


def _projection(name: str) -> Projection[Any]:
    try:
        projection = get_read_model(name)
    except LookupError as error:
        raise NotResolvable(str(error)) from error
    if not isinstance(projection, Projection):
        raise NotResolvable(f"{name} does not follow the feed")
    return projection


def _count_left(name: str, generation: int, aggregate_id: UUID) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM dead_letters WHERE projection = %s AND generation = %s AND aggregate_id = %s"
            " AND state IN ('failed', 'parked')",
            (name, generation, aggregate_id),
        )
        return int(cursor.fetchone()[0])
