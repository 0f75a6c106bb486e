"""How far what follows the feed is behind it, in events and in seconds: for health pages and metrics.

Seconds are the age of the oldest event that is still to be applied. They grow by themselves while a projector is
dead, whatever it said last, so that a lag is never taken for a healthy one because nobody updates it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection

from eventstore import feed
from eventstore.kafka import lease
from ops.conf import get_settings

LOOKED_AT = 2000
"""Most events that are looked through for the oldest one of some shards."""


@dataclass(frozen=True, slots=True)
class Following:
    """One read model. `behind`: positions between it and the feed's mark, which are about as many events; `seconds`:
    age of the oldest event that it lacks, None where it lacks none."""

    projection: str
    state: str
    reason: str
    changed_at: str
    position: int
    behind: int
    seconds: float | None
    shards_behind: int


@dataclass(frozen=True, slots=True)
class Feed:
    """`last`: the highest position in the books; `mark`: up to where the feed may be read; `held_seconds`: age of the
    oldest append that is still open and holds it back, None where there is none."""

    last: int
    mark: int
    held_seconds: float | None
    held_by: list[int]


HELD = """
    SELECT coalesce(array_agg(DISTINCT l.pid), '{}'),
           extract(epoch FROM clock_timestamp() - min(a.xact_start))::float
      FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.classid::bigint >> 24 = 15 AND l.granted
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
PROJECTIONS = """
    SELECT p.name, p.state, p.reason, p.changed_at, array_agg(c.position ORDER BY c.shard)
      FROM projections p
      JOIN projection_checkpoints c ON c.projection = p.name AND c.generation = p.active_generation
     GROUP BY p.name ORDER BY p.name
"""


def feed_state() -> Feed:
    with connection.cursor() as cursor:
        cursor.execute(HELD)
        pids, seconds = cursor.fetchone()
    return Feed(*ends(), seconds, pids)


def ends() -> tuple[int, int]:
    """The highest position in the books, and the mark: as in `Feed`, whose other questions cost more."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(position), 0), feed_mark() FROM events")
        last, mark = cursor.fetchone()
    return last, mark


def read_models() -> list[Following]:
    """Every read model that has begun to follow."""
    targets = _targets()
    with connection.cursor() as cursor:
        cursor.execute(PROJECTIONS)
        rows = cursor.fetchall()
    return [_following(targets, *row) for row in rows]


def age_of_what_lacks(projection: str) -> float | None:
    """Seconds since the oldest event in the books was recorded that a read model lacks, which may be on its way to it
    through Kafka; None where it lacks none."""
    found = next((model for model in read_models() if model.projection == projection), None)
    if found is None:  # it has not begun
        return _age_of_oldest({0: 0}, [feed.mark()], 1)
    relay = relaying() if get_settings().kafka_enabled else None
    ages = [age for age in (found.seconds, relay.seconds if relay else None) if age is not None]
    return max(ages, default=None)


def _targets() -> list[int]:
    """Where each shard should be: the feed's mark, or with Kafka the last event of the shard that was relayed."""
    settings = get_settings()
    if not settings.kafka_enabled:
        return [feed.mark()] * settings.shard_count
    relay = lease.state(settings.kafka_topic)
    return relay.shard_positions if relay else [0] * settings.shard_count


def _following(
    targets: list[int], name: str, state: str, reason: str, changed_at: Any, positions: list[int]
) -> Following:
    behind = {
        shard: position
        for shard, (position, target) in enumerate(zip(positions, targets, strict=False))
        if position < target
    }
    return Following(
        projection=name,
        state=state,
        reason=reason,
        changed_at=changed_at.isoformat(timespec="seconds"),
        position=min(positions),
        behind=max((targets[shard] - position for shard, position in behind.items()), default=0),
        seconds=_age_of_oldest(behind, targets, len(positions)) if behind else None,
        shards_behind=len(behind),
    )


def _age_of_oldest(behind: Mapping[int, int], targets: list[int], shards: int) -> float | None:
    """Seconds since the oldest event that the shards lack was recorded. None where there is no such event: the
    positions between were rolled back."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT position, aggregate_id, extract(epoch FROM clock_timestamp() - timestamp)::float"
            " FROM events WHERE position > %s AND position <= %s ORDER BY position LIMIT %s",
            (min(behind.values()), max(targets[shard] for shard in behind), LOOKED_AT),
        )
        rows = cursor.fetchall()
    for position, aggregate_id, age in rows:
        if position > behind.get(feed.shard_of(aggregate_id, shards), position):
            return max(0.0, age)
    return max(0.0, rows[-1][2]) if len(rows) == LOOKED_AT else None


@dataclass(frozen=True, slots=True)
class Relaying:
    """The relay, and how far it is behind the feed; `seconds` as for read models. `advanced_seconds`: since its
    checkpoint last moved."""

    epoch: int
    holder: str
    leads: bool
    lease_seconds_left: float
    advanced_seconds: float
    position: int
    behind: int
    seconds: float | None


def relaying() -> Relaying | None:
    """None: no relay has ever led."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT r.epoch, r.holder, r.leased_until >= clock_timestamp(),
                   CASE WHEN isfinite(r.leased_until)
                        THEN extract(epoch FROM r.leased_until - clock_timestamp())::float ELSE 0 END,
                   extract(epoch FROM clock_timestamp() - r.changed_at)::float,
                   r.position, greatest(0, feed_mark() - r.position),
                   (SELECT extract(epoch FROM clock_timestamp() - e.timestamp)::float FROM events e
                     WHERE e.position > r.position ORDER BY e.position LIMIT 1)
              FROM relay_state r WHERE r.topic = %s
            """,
            (get_settings().kafka_topic,),
        )
        row = cursor.fetchone()
    return Relaying(*row) if row else None


def dead_letters() -> dict[str, int]:
    """Letters that wait for somebody, by state."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state, count(*) FROM dead_letters"
            " WHERE state IN ('failed', 'parked', 'unreadable') AND resolved_at IS NULL GROUP BY state"
        )
        found: dict[str, int] = dict(cursor.fetchall())
    return {state: found.get(state, 0) for state in ("failed", "parked", "unreadable")}
