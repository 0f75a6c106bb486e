"""The ordered feed: all events by position, none missed, though positions are drawn before commits.

`mark()` is the highest position below which nothing can appear any more (see sql/functions/feed_mark.sql); reading
happens in a later statement, up to it.
"""

import zlib
from uuid import UUID

from django.db import connection

from eventstore.errors import BrokenHistory
from eventstore.events import COLUMNS, StoredEvent
from ops.conf import get_settings


def mark() -> int:
    """The position up to which the feed may be read; 0 for empty books. An open append holds it back."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT feed_mark()")
        return int(cursor.fetchone()[0])


def read(*, after: int, upto: int, limit: int) -> list[StoredEvent]:
    """Events with positions in (after, upto], at most `limit`; `upto` is a `mark()` taken before."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {COLUMNS} FROM events WHERE position > %s AND position <= %s ORDER BY position LIMIT %s",
            (after, upto, limit),
        )
        return [StoredEvent.from_row(row) for row in cursor.fetchall()]


def shard_of(aggregate_id: UUID, shards: int) -> int:
    """The shard of a stream, the same in every process and version: CRC-32 of its id, modulo their number."""
    return zlib.crc32(aggregate_id.bytes) % shards


def require_shard_count() -> int:
    """The number of shards that this store was begun with; recorded by the first caller.

    Raises:
        BrokenHistory: SHARD_COUNT is another number now, so that checkpoints would no longer fit.
    """
    wanted = get_settings().shard_count
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO store_choices (name, value) VALUES ('shard_count', %s) ON CONFLICT DO NOTHING",
            (str(wanted),),
        )
        cursor.execute("SELECT value FROM store_choices WHERE name = 'shard_count'")
        recorded = int(cursor.fetchone()[0])
    if recorded != wanted:
        raise BrokenHistory(
            f"SHARD_COUNT is {wanted}, but this store was begun with {recorded}: set it back to {recorded}"
        )
    return recorded
