"""Snapshots: folds kept so that a load need not begin at version 1. A cache, never the arbiter of anything.

One with another state schema is not looked at; one that fails its checksum, or can't be read, is passed over.
Either way the state is folded from events.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import structlog
from django.db import connection

from eventstore import registry
from eventstore.hashing import canonical_json

log = structlog.get_logger(__name__)

CANDIDATES = 3
"""How many snapshots a load tries before it folds from the start."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a stream after `version` events."""

    aggregate_id: UUID
    version: int
    position: int
    state: Any


def find(aggregate_id: UUID, upto_version: int | None = None) -> Snapshot | None:
    """The newest usable snapshot at or below a version."""
    known = registry.state_schemas()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT aggregate_type, state_schema, n.version, n.position, n.state::text, n.checksum
              FROM snapshots n
              JOIN streams s USING (aggregate_id)
              JOIN unnest(%s::text[], %s::smallint[]) AS known (aggregate_type, state_schema)
                   USING (aggregate_type, state_schema)
             WHERE n.aggregate_id = %s AND n.version <= least(%s, s.version)
             ORDER BY n.version DESC
             LIMIT %s
            """,
            (
                list(known),
                list(known.values()),
                aggregate_id,
                2**62 if upto_version is None else upto_version,
                CANDIDATES,
            ),
        )
        rows = cursor.fetchall()
    for aggregate_type, schema, version, position, text, checksum in rows:
        kind = registry.aggregate_type(aggregate_type)
        try:
            data = orjson.loads(text)
            if _checksum(aggregate_id, schema, version, position, data) != bytes(checksum):
                raise ValueError("checksum")
            return Snapshot(aggregate_id, version, position, kind.load(data))
        except (ValueError, TypeError, KeyError) as error:
            log.warning("snapshot_unusable", aggregate_id=str(aggregate_id), version=version, error=repr(error))
    return None


def save(aggregate_type: str, snapshot: Snapshot) -> None:
    """Keeps a snapshot; one that exists already for the version stays."""
    kind = registry.aggregate_type(aggregate_type)
    data = kind.dump(snapshot.state)
    checksum = _checksum(snapshot.aggregate_id, kind.state_schema, snapshot.version, snapshot.position, data)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO snapshots (aggregate_id, state_schema, version, position, state, checksum)"
            " VALUES (%s, %s, %s, %s, %s::jsonb, %s) ON CONFLICT DO NOTHING",
            (
                snapshot.aggregate_id,
                kind.state_schema,
                snapshot.version,
                snapshot.position,
                orjson.dumps(data).decode(),
                checksum,
            ),
        )


_OLD = """
    SELECT aggregate_id, state_schema, version
      FROM (SELECT aggregate_id, state_schema, version,
                   row_number() OVER (PARTITION BY aggregate_id ORDER BY state_schema DESC, version DESC) AS age
              FROM snapshots WHERE aggregate_id = ANY (%s)) ranked
     WHERE age > %s
     LIMIT %s
"""


def prune(*, keep: int, streams: int = 1_000, limit: int = 10_000) -> Iterator[int]:
    """Removes all but the newest `keep` snapshots of each stream, step by step: of so many streams, and at most
    `limit` rows, a step. Gives how many each step has removed, which may be none."""
    after = UUID(int=0)
    with connection.cursor() as cursor:
        while ids := _streams(cursor, after, streams):
            cursor.execute(
                f"DELETE FROM snapshots WHERE (aggregate_id, state_schema, version) IN ({_OLD})", (ids, keep, limit)
            )
            if cursor.rowcount < limit:
                after = ids[-1]
            yield cursor.rowcount


def superseded(*, keep: int, limit: int, streams: int = 1_000) -> int:
    """How many `prune` would remove in all, counted up to `limit`."""
    found, after = 0, UUID(int=0)
    with connection.cursor() as cursor:
        while found < limit and (ids := _streams(cursor, after, streams)):
            cursor.execute(f"SELECT count(*) FROM ({_OLD}) old", (ids, keep, limit - found))
            found += cursor.fetchone()[0]
            after = ids[-1]
    return found


def _streams(cursor: Any, after: UUID, most: int) -> list[UUID]:
    """The next that have snapshots, by id."""
    cursor.execute(
        "SELECT DISTINCT aggregate_id FROM snapshots WHERE aggregate_id > %s ORDER BY aggregate_id LIMIT %s",
        (after, most),
    )
    return [aggregate_id for (aggregate_id,) in cursor.fetchall()]


def _checksum(aggregate_id: UUID, schema: int, version: int, position: int, data: dict[str, Any]) -> bytes:
    head = f"{aggregate_id}:{schema}:{version}:{position}:".encode()
    return hashlib.sha256(head + canonical_json(data)).digest()
