"""Recovering one stream from its snapshot, as the guide's "Snapshot Recovery" asks, and proving the result."""

from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from eventstore.projections.base import Inline, Progress, all_read_models
from eventstore.projections.checkpoints import waits_in_words
from eventstore.store import load


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was found: `snapshot_version` 0 means that there was no usable snapshot."""

    version: int
    snapshot_version: int
    events_read: int
    bad_snapshots: int
    repaired: int


def recover(aggregate_id: UUID, *, dry_run: bool, progress: Progress) -> Recovery:
    """Loads the stream by snapshot and by its whole history. Where the two differ the snapshots are wrong, whatever
    their checksums say: the inline read models are mended from the events, and then such snapshots are removed.

    Raises:
        StreamNotFound, BrokenHistory, UnknownEventType, LockTimeout: nothing was changed.
    """
    quick = load(aggregate_id)
    progress(1, 3)
    proved = load(aggregate_id, upto_version=quick.version, use_snapshots=False)
    progress(2, 3)
    repaired = 0
    for read_model in all_read_models():
        if isinstance(read_model, Inline):
            with waits_in_words(read_model.name):
                repaired += read_model.replay(aggregate_id, dry_run=dry_run)
    bad = 0
    if quick.state != proved.state:
        bad = _count_snapshots(aggregate_id) if dry_run else _remove_snapshots(aggregate_id)
    progress(3, 3)
    return Recovery(
        version=proved.version,
        snapshot_version=quick.snapshot_version,
        events_read=quick.events_read,
        bad_snapshots=bad,
        repaired=repaired,
    )


def _count_snapshots(aggregate_id: UUID) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM snapshots WHERE aggregate_id = %s", (aggregate_id,))
        return int(cursor.fetchone()[0])


def _remove_snapshots(aggregate_id: UUID) -> int:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM snapshots WHERE aggregate_id = %s", (aggregate_id,))
        return int(cursor.rowcount)
