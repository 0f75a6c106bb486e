"""Making a read model anew."""

from typing import Any

from django.db import connection, transaction

from eventstore import feed
from eventstore.errors import StoreBusy
from eventstore.projections import checkpoints
from eventstore.projections.base import Progress, Projection, Report
from ops.conf import get_settings

STATEMENT_LIMIT = "10min"


def rebuild(projection: Projection[Any], progress: Progress) -> Report:
    """Empties the projection's tables and applies the whole feed again, in one transaction.

    Readers see the old rows until the commit. Its runner waits; afterwards it goes on from the new checkpoints.

    Raises:
        StoreBusy: the projection is being moved by someone else; nothing was changed.
    """
    batch_size = get_settings().projection_batch_size
    shards = feed.require_shard_count()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_LIMIT}'")
        checkpoints.begin(cursor, projection, shards)
        _claim_patiently(cursor, projection)
        mark = feed.mark()
        for table in projection.tables:
            cursor.execute(f'DELETE FROM "{table}"')
        checkpoints.reset(cursor, projection)
        position = total = 0
        while events := feed.read(after=position, upto=mark, limit=batch_size):
            projection.apply(events, cursor)
            position, total = events[-1].position, total + len(events)
            progress(position, mark)
        checkpoints.move(cursor, projection, mark)
        checkpoints.set_state(cursor, projection, "running")
        rows = 0
        for table in projection.tables:
            cursor.execute(f'SELECT count(*) FROM "{table}"')
            rows += cursor.fetchone()[0]
    return Report(events=total, rows=rows)


def _claim_patiently(cursor: Any, projection: Projection[Any]) -> None:
    """A runner holds its claim for one batch: a short wait is enough."""
    for _ in range(50):
        if checkpoints.claim(cursor, projection):
            return
        cursor.execute("SELECT pg_sleep(0.1)")
    raise StoreBusy(f"projection {projection.name} is being moved by another process; try again")
