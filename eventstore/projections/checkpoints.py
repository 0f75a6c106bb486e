"""Checkpoints: how far each shard of a projection has come. The truth of what was applied."""

from typing import Any

from eventstore.errors import BrokenHistory
from eventstore.projections.base import Projection


def begin(cursor: Any, projection: Projection[Any], shards: int) -> bool:
    """Makes the rows of a projection that is new. True: its tables were filled by an older version of it, and
    must be rebuilt before it goes on.

    Raises:
        BrokenHistory: the tables were filled by a newer version than this code has.
    """
    cursor.execute(
        "INSERT INTO projections (name, version) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING",
        (projection.name, projection.version),
    )
    cursor.execute("SELECT version FROM projections WHERE name = %s FOR UPDATE", (projection.name,))
    filled_by = cursor.fetchone()[0]
    if filled_by > projection.version:
        raise BrokenHistory(
            f"projection {projection.name} was filled by its version {filled_by}; this code has version "
            f"{projection.version}: run the newer code"
        )
    cursor.execute(
        "INSERT INTO projection_checkpoints (projection, version, shard)"
        " SELECT %s, %s, generate_series(0, %s - 1) ON CONFLICT DO NOTHING",
        (projection.name, projection.version, shards),
    )
    return bool(filled_by < projection.version)


def claim(cursor: Any, projection: Projection[Any]) -> bool:
    """Makes this transaction the only one that moves the projection; False when another one does."""
    cursor.execute(
        "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0) & x'00FFFFFFFFFFFFFF'::bigint)",
        (f"projection:{projection.name}",),
    )
    return bool(cursor.fetchone()[0])


def read(cursor: Any, projection: Projection[Any], *, lock: bool = False) -> list[int]:
    """Positions by shard."""
    cursor.execute(
        "SELECT position FROM projection_checkpoints WHERE projection = %s AND version = %s ORDER BY shard"
        + (" FOR UPDATE" if lock else ""),
        (projection.name, projection.version),
    )
    return [position for (position,) in cursor.fetchall()]


def move(cursor: Any, projection: Projection[Any], position: int) -> None:
    """Brings every shard that is behind to a position; none ever moves back."""
    cursor.execute(
        "UPDATE projection_checkpoints SET position = %s WHERE projection = %s AND version = %s AND position < %s",
        (position, projection.name, projection.version, position),
    )


def reset(cursor: Any, projection: Projection[Any]) -> None:
    """Back to the start, for a rebuild; the tables are this version's from now on."""
    cursor.execute("UPDATE projections SET version = %s WHERE name = %s", (projection.version, projection.name))
    cursor.execute(
        "UPDATE projection_checkpoints SET position = 0 WHERE projection = %s AND version = %s",
        (projection.name, projection.version),
    )


def set_state(cursor: Any, projection: Projection[Any], state: str, reason: str = "") -> None:
    """Records what the projection is doing: "running", "paused" or "failed", and why."""
    cursor.execute(
        "UPDATE projections SET state = %s, reason = %s, changed_at = now()"
        " WHERE name = %s AND (state, reason) IS DISTINCT FROM (%s, %s)",
        (state, reason[:2000], projection.name, state, reason[:2000]),
    )
