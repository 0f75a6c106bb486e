"""Replaying one stream into the read models, and winding a read model back.

Both touch tables of read models alone: no event is written, nothing is relayed or sent again.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from eventstore import feed
from eventstore.errors import EventStoreError, StreamNotFound
from eventstore.models import Stream
from eventstore.projections import checkpoints, dead_letters
from eventstore.projections.base import Inline, Progress, Projection, Slice, all_read_models
from eventstore.store import read_stream


class CannotSeek(EventStoreError):
    """The read model cannot be moved there; the message says what can be done instead."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What replaying a stream did to one read model: events applied, and how many rows were wrong before."""

    read_model: str
    events: int
    repaired: int


def replay(aggregate_id: UUID, *, from_version: int, dry_run: bool, progress: Progress) -> list[Replayed]:
    """Makes anew what each read model holds of a stream from a version on, each in a transaction of its own.

    Events that a read model has yet to reach, or that lie with its dead letters, are left to their own ways.

    Raises:
        StreamNotFound: no such stream, or it has no such version.
        LockTimeout: others work with a read model; those before it by name are done.
    """
    head = Stream.objects.filter(aggregate_id=aggregate_id).values_list("version", flat=True).first()
    if head is None or not 1 <= from_version <= head:
        raise StreamNotFound(aggregate_id)
    results = []
    read_models = all_read_models()
    for number, read_model in enumerate(read_models, start=1):
        with checkpoints.waits_in_words(read_model.name):
            if isinstance(read_model, Inline):
                results.append(Replayed(read_model.name, head, read_model.replay(aggregate_id, dry_run=dry_run)))
            elif not read_model.has_side_effects and (part := read_model.slice_of(aggregate_id, from_version)):
                results.append(_replay_into(read_model, aggregate_id, part, dry_run))
        progress(number, len(read_models))
    return results


def _replay_into(projection: Projection[Any], aggregate_id: UUID, part: Slice, dry_run: bool) -> Replayed:
    shards = feed.require_shard_count()
    shard = feed.shard_of(aggregate_id, shards)
    with transaction.atomic(), connection.cursor() as cursor:
        checkpoints.begin(cursor, projection, shards)
        checkpoints.share(cursor, projection.name)
        generation = checkpoints.fitting(cursor, projection)
        reached = checkpoints.lock(cursor, generation, {shard})[shard]
        waiting = dead_letters.left_out(cursor, generation, aggregate_id)
        events = [
            stored
            for stored in read_stream(aggregate_id, after_version=part.from_version - 1)
            if stored.position <= reached and stored.position not in waiting
        ]
        before = _rows(cursor, projection, part)
        cursor.execute(f"DELETE FROM {part.table} WHERE {part.where}", part.params)
        projection.apply(events, cursor)
        after = _rows(cursor, projection, part)
        transaction.set_rollback(dry_run)
    return Replayed(projection.name, len(events), max(len(before - after), len(after - before)))


def _rows(cursor: Any, projection: Projection[Any], part: Slice) -> set[str]:
    """The slice's rows as text, without what the database chose."""
    cursor.execute(
        f"SELECT (to_jsonb(t) - %s::text[])::text FROM {part.table} t WHERE {part.where}",
        (list(projection.surrogates), *part.params),
    )
    return {text for (text,) in cursor.fetchall()}


def seek(projection: Projection[Any], position: int, *, dry_run: bool) -> int:
    """Winds a read model back to a position: rows beyond it are removed, and made again by its runner.
    What was left out as a dead letter beyond it is tried again, also what was discarded.

    Returns how many rows are removed.

    Raises:
        CannotSeek: forwards (events would be skipped), or a read model whose rows cannot be told apart by position.
        LockTimeout: others work with it.
    """
    if projection.has_side_effects:
        raise CannotSeek(f"{projection.name} cannot be wound back: what was sent would be sent again")
    conditions = projection.beyond(position)
    if not conditions:
        raise CannotSeek(f"{projection.name} cannot be wound back: use rebuild_projection {projection.name}")
    shards = feed.require_shard_count()
    with checkpoints.waits_in_words(projection.name), transaction.atomic(), connection.cursor() as cursor:
        checkpoints.begin(cursor, projection, shards)
        checkpoints.claim(cursor, projection.name)
        generation = checkpoints.active(cursor, projection.name)
        positions = checkpoints.lock(cursor, generation, range(shards))
        if not 0 <= position <= min(positions.values()):
            raise CannotSeek(
                f"{projection.name} has come to {min(positions.values())}: it can be wound back to a position from 0 "
                "to there, and never forwards, since events would be skipped"
            )
        removed = 0
        for table, condition in conditions.items():
            cursor.execute(f"DELETE FROM {table} WHERE {condition}")
            removed += cursor.rowcount
        cursor.execute(
            "UPDATE projection_checkpoints SET position = %s WHERE projection = %s AND generation = %s",
            (position, generation.projection, generation.number),
        )
        cursor.execute(
            "UPDATE dead_letters SET state = 'superseded', resolved_at = now(), resolved_by = 'seek'"
            " WHERE projection = %s AND generation = %s AND position > %s"
            " AND state IN ('failed', 'parked', 'discarded')",
            (generation.projection, generation.number, position),
        )
        transaction.set_rollback(dry_run)
    return removed
