"""Checkpoints: how far each shard of a projection has come. The truth of what was applied.

Whoever applies events holds the projection's advisory lock in share and the rows of the shards that it moves;
whoever replaces its tables holds the advisory lock alone.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import OperationalError
from psycopg.errors import DeadlockDetected, LockNotAvailable, QueryCanceled

from eventstore import feed
from eventstore.errors import EventStoreError, LockTimeout
from eventstore.projections.base import Projection
from ops.database.locks import advisory_key


class Paused(EventStoreError):
    """A person has paused the projection, or newer code than this goes on with it. Nothing was applied; it goes on
    from where it stands when that is over."""


class Outdated(EventStoreError):
    """Older code has filled the projection's tables, which nothing of this code's fits. Nothing was applied."""


NOT_IN_TIME = (LockNotAvailable, QueryCanceled, DeadlockDetected)
"""What PostgreSQL raises where a lock was not to be had, or a statement not done, in time."""


@contextmanager
def waits_in_words(name: str) -> Iterator[None]:
    """For work of a person with a read model, which waits for others that work with it.

    Raises:
        LockTimeout: in place of `NOT_IN_TIME`. The transaction of the block did nothing.
    """
    try:
        yield
    except (OperationalError, psycopg.Error) as error:
        cause = error if isinstance(error, psycopg.Error) else error.__cause__
        if not isinstance(cause, NOT_IN_TIME):
            raise
        raise LockTimeout(
            f"read model {name} is in use, and a lock was not to be had, or a statement not done, in time: the page "
            "Operations shows who is at work; try again after that"
        ) from error


@dataclass(frozen=True, slots=True)
class Generation:
    """One filling of a projection's tables."""

    projection: str
    number: int


def begin(cursor: Any, projection: Projection[Any], shards: int) -> bool:
    """Makes the rows of a projection that is new. True: its tables were filled by an older version of its code, and
    must be rebuilt before it goes on (never one that has side effects: that begins at the feed's end, and goes on).

    Raises:
        Paused: the tables were filled by a newer version than this code has.
    """
    cursor.execute(
        "INSERT INTO projections (name, code_version) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING",
        (projection.name, projection.version),
    )
    state = _state(cursor, projection)
    state.require_no_newer(projection)
    if projection.has_side_effects:
        cursor.execute(
            "UPDATE projections SET code_version = %s WHERE name = %s AND code_version < %s",
            (projection.version, projection.name, projection.version),
        )
        make(cursor, state.generation, shards, position=feed.mark())
        return False
    make(cursor, state.generation, shards)
    return bool(state.filled_by < projection.version)


def make(cursor: Any, generation: Generation, shards: int, *, position: int = 0) -> None:
    """Checkpoints of a generation at a position, by default the start of the feed, where they are not there yet."""
    cursor.execute(
        "INSERT INTO projection_checkpoints (projection, generation, shard, position)"
        " SELECT %s, %s, generate_series(0, %s - 1), %s ON CONFLICT DO NOTHING",
        (generation.projection, generation.number, shards, position),
    )


def active(cursor: Any, name: str) -> Generation:
    """The generation whose tables are read; 1 for a projection that has not begun."""
    cursor.execute("SELECT active_generation FROM projections WHERE name = %s", (name,))
    row = cursor.fetchone()
    return Generation(name, row[0] if row else 1)


def unpaused(cursor: Any, projection: Projection[Any]) -> Generation:
    """As `active`, for who makes the tables anew.

    Raises:
        Paused: a person wants nothing to be applied.
    """
    state = _state(cursor, projection)
    state.require_unpaused()
    return state.generation


def fitting(cursor: Any, projection: Projection[Any]) -> Generation:
    """As `active`, for who applies events by this code.

    Raises:
        Paused: the tables were filled by a newer version of the code.
        Outdated: they were filled by an older one.
    """
    state = _state(cursor, projection)
    state.require_fitting(projection)
    return state.generation


def running(cursor: Any, projection: Projection[Any]) -> Generation:
    """As `active`, for who applies what is new.

    Raises:
        Paused, Outdated: as `unpaused` and `fitting`.
    """
    state = _state(cursor, projection)
    state.require_unpaused()
    state.require_fitting(projection)
    return state.generation


@dataclass(frozen=True, slots=True)
class _State:
    """The active generation, the version of the code that filled it, and who has paused it."""

    generation: Generation
    filled_by: int
    paused_by: str

    def require_unpaused(self) -> None:
        if self.paused_by:
            raise Paused(
                f"projection {self.generation.projection} is paused by {self.paused_by}: have it resumed first, on "
                "its page"
            )

    def require_no_newer(self, projection: Projection[Any]) -> None:
        if self.filled_by > projection.version:
            raise Paused(f"{self._versions(projection)}: run the newer code here")

    def require_fitting(self, projection: Projection[Any]) -> None:
        self.require_no_newer(projection)
        if self.filled_by < projection.version:
            raise Outdated(
                f"{self._versions(projection)}: make it anew (rebuild_projection {projection.name}), or run the "
                "older code"
            )

    def _versions(self, projection: Projection[Any]) -> str:
        return (
            f"projection {projection.name} was filled by version {self.filled_by} of its code; this process has "
            f"version {projection.version}"
        )


def _state(cursor: Any, projection: Projection[Any]) -> _State:
    cursor.execute(
        "SELECT active_generation, code_version, paused_by FROM projections WHERE name = %s", (projection.name,)
    )
    number, filled_by, paused_by = cursor.fetchone() or (1, projection.version, "")
    return _State(Generation(projection.name, number), filled_by, paused_by)


def pause(cursor: Any, name: str, *, by: str, reason: str) -> bool:
    """Nothing is applied from the next batch on; False where there is no such projection, or it is paused already."""
    cursor.execute(
        "UPDATE projections SET paused_by = %s, paused_at = now(), state = 'paused', reason = %s, changed_at = now()"
        " WHERE name = %s AND paused_by = ''",
        (by, reason[:2000], name),
    )
    return bool(cursor.rowcount)


def resume(cursor: Any, name: str) -> bool:
    """Ends a person's pause; False where there is none."""
    cursor.execute(
        "UPDATE projections SET paused_by = '', paused_at = NULL, state = 'running', reason = '', changed_at = now()"
        " WHERE name = %s AND paused_by <> ''",
        (name,),
    )
    return bool(cursor.rowcount)


def share(cursor: Any, name: str) -> None:
    """Until the end of the transaction, nobody replaces the projection's tables."""
    cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", (advisory_key(f"projection:{name}"),))


def claim(cursor: Any, name: str) -> None:
    """Until the end of the transaction, nobody else applies events to the projection or replaces its tables."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (advisory_key(f"projection:{name}"),))


def lock(cursor: Any, generation: Generation, shards: Iterable[int]) -> dict[int, int]:
    """Positions by shard, locked in shard order."""
    cursor.execute(
        "SELECT shard, position FROM projection_checkpoints"
        " WHERE projection = %s AND generation = %s AND shard = ANY (%s) ORDER BY shard FOR UPDATE",
        (generation.projection, generation.number, sorted(shards)),
    )
    return dict(cursor.fetchall())


def read(cursor: Any, generation: Generation) -> dict[int, int]:
    """Positions by shard."""
    cursor.execute(
        "SELECT shard, position FROM projection_checkpoints WHERE projection = %s AND generation = %s",
        (generation.projection, generation.number),
    )
    return dict(cursor.fetchall())


def move(cursor: Any, generation: Generation, positions: dict[int, int]) -> None:
    """Brings shards to positions; none ever moves back."""
    cursor.execute(
        """
        UPDATE projection_checkpoints c
           SET position = n.position
          FROM unnest(%s::smallint[], %s::bigint[]) AS n (shard, position)
         WHERE c.projection = %s AND c.generation = %s AND c.shard = n.shard AND c.position < n.position
        """,
        (list(positions), list(positions.values()), generation.projection, generation.number),
    )


def set_state(cursor: Any, name: str, state: str, reason: str = "") -> None:
    """Records what the projection is doing: "running", "paused" or "failed", and why. A person's pause stays."""
    cursor.execute(
        "UPDATE projections SET state = %s, reason = %s, changed_at = now()"
        " WHERE name = %s AND paused_by = '' AND (state, reason) IS DISTINCT FROM (%s, %s)",
        (state, reason[:2000], name, state, reason[:2000]),
    )
