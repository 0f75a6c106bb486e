"""The ordered feed: all events by position, none missed, though positions are drawn before commits.

`mark()` is the highest position below which nothing can appear any more (see sql/functions/feed_mark.sql); reading
happens in a later statement, up to it.
"""

import zlib
from collections.abc import Sequence
from typing import NamedTuple, TypeVar
from uuid import UUID

import psycopg
from django.db import connection
from psycopg.rows import RowFactory, tuple_row

from eventstore.errors import BrokenHistory
from eventstore.events import COLUMNS, StoredEvent
from ops.conf import get_settings

Row = TypeVar("Row")


def mark() -> int:
    """The position up to which the feed may be read; 0 for empty books. An open append holds it back."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT feed_mark()")
        return int(cursor.fetchone()[0])


class Ref(NamedTuple):
    """Where an event stands: enough to tell whose it is, and to find it in the books. The stream's id as text."""

    position: int
    aggregate_id: str
    shard: int


Types = frozenset[tuple[str | None, int | None]]
"""Pairs of event type and schema version; (None, None) stands for a ref that fits no event."""


class Page:
    """Some events of the feed in order, as refs; the events themselves are read from the books when asked for."""

    def __init__(self, refs: Sequence[Ref], types: Types | None = None) -> None:
        self.refs = refs
        self._types = types

    @property
    def types(self) -> Types:
        """At least those of its events; maybe also of their neighbours."""
        if self._types is None:
            self._types = types_of(self.refs)
        return self._types


REFERRED = "(SELECT * FROM events WHERE position = ANY (%s::bigint[])) AS referred"
"""The events of some refs as a relation with the columns of `events`; its parameter: `positions_of(refs)`."""


RANGE = "(SELECT * FROM events WHERE position > %s AND position <= %s) AS ranged"
"""The events of a range of positions, likewise."""


def positions_of(refs: Sequence[Ref]) -> str:
    """A bigint[] as PostgreSQL writes it, which is many times faster than to adapt a list of thousands."""
    return "{" + ",".join([str(ref.position) for ref in refs]) + "}"


def streams_of(refs: Sequence[Ref]) -> str:
    """Likewise, as uuid[]."""
    return _ids([ref.aggregate_id for ref in refs])


def _ids(texts: Sequence[str]) -> str:
    return "{" + ",".join(texts) + "}"


def types_of(refs: Sequence[Ref], event_ids: Sequence[str] = ()) -> Types:
    """What kinds of events the refs stand for; `event_ids`: theirs, where those shall fit too. (Each is looked up by
    its position: a plan may else read all there are.)"""
    positions = positions_of(refs)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT DISTINCT event_type, schema_version
              FROM unnest(%s::bigint[], %s::uuid[], %s::uuid[]) AS wanted (position, aggregate_id, event_id)
              LEFT JOIN {REFERRED}
                ON referred.position = wanted.position AND referred.aggregate_id = wanted.aggregate_id
               AND referred.event_id = coalesce(wanted.event_id, referred.event_id)
            """,
            (positions, streams_of(refs), _ids(event_ids), positions),
        )
        return frozenset(cursor.fetchall())


def strangers(refs: Sequence[Ref], event_ids: Sequence[str]) -> set[int]:
    """Which of the refs and ids fit no event in the books, by their places in the sequence, from 0."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT place - 1
              FROM unnest(%s::bigint[], %s::uuid[], %s::uuid[]) WITH ORDINALITY
                AS wanted (position, aggregate_id, event_id, place)
             WHERE NOT EXISTS (SELECT FROM events e
                                WHERE e.position = wanted.position AND e.aggregate_id = wanted.aggregate_id
                                  AND e.event_id = wanted.event_id)
            """,
            (positions_of(refs), streams_of(refs), _ids(event_ids)),
        )
        return {place for (place,) in cursor.fetchall()}


def load(refs: Sequence[Ref]) -> list[StoredEvent]:
    """The events of refs, by position. A position that is not in the books is left out."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {COLUMNS} FROM {REFERRED} ORDER BY position", (positions_of(refs),))
        return [StoredEvent.from_row(row) for row in cursor.fetchall()]


def read(*, after: int, upto: int, limit: int) -> tuple[list[StoredEvent], int]:
    """Events with positions in (after, reached], and `reached`; see `read_rows`."""
    rows, reached = read_rows(COLUMNS, after=after, upto=upto, limit=limit, row_factory=tuple_row)
    return [StoredEvent.from_row(row) for row in rows], reached


def read_refs(*, after: int, upto: int, limit: int, shards: int) -> tuple[list[Ref], int]:
    """As `read`, refs only."""
    columns = "position, aggregate_id::text"
    rows, reached = read_rows(columns, after=after, upto=upto, limit=limit, row_factory=tuple_row)
    return [Ref(position, text, shard_of_text(text, shards)) for position, text in rows], reached


def read_rows(
    columns: str,
    *,
    after: int,
    upto: int,
    limit: int,
    row_factory: RowFactory[Row],
) -> tuple[list[Row], int]:
    """Some columns of all events in (after, reached], at most `limit`, by position; `upto` is a `mark()` taken
    before. There is at least one, unless `reached` is `upto` and there is nothing more.

    It asks for a range of positions rather than for the first so many, so that no plan can think of sorting the rest
    of the feed. Positions that a rolled back append has drawn are holes.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection, row_factory=row_factory) as cursor:

        def look(after: int) -> tuple[list[Row], int]:
            reached = max(after, min(upto, after + limit))
            cursor.execute(
                f"SELECT {columns} FROM events WHERE position > %s AND position <= %s ORDER BY events.position",
                (after, reached),
            )
            return cursor.fetchall(), reached

        rows, reached = look(after)
        if rows or reached >= upto:
            return rows, reached
        following = first_after(reached, upto)
        return look(following - 1) if following else ([], upto)


def first_after(after: int, upto: int) -> int | None:
    """The next position in the books: what lies before it is a hole, however wide."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(position) FROM events WHERE position > %s AND position <= %s", (after, upto))
        found: int | None = cursor.fetchone()[0]
    return found


def shard_of(aggregate_id: UUID, shards: int) -> int:
    """The shard of a stream, the same in every process and version: CRC-32 of its id, modulo their number."""
    return zlib.crc32(aggregate_id.bytes) % shards


def shard_of_text(text: str, shards: int) -> int:
    """`shard_of` for an id as text.

    Raises:
        ValueError: it is no id.
    """
    return zlib.crc32(bytes.fromhex(text.replace("-", ""))) % shards


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
