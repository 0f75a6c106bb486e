"""How far everything that follows the feed is behind it: for health pages, metrics and people."""

from dataclasses import dataclass

from django.db import connection

from eventstore import feed
from eventstore.kafka import lease
from ops.conf import get_settings


@dataclass(frozen=True, slots=True)
class ShardLag:
    """One shard of one read model: `behind` positions separate it from what was relayed; 0: it lacks nothing."""

    projection: str
    shard: int
    relayed: int
    applied: int

    @property
    def behind(self) -> int:
        return max(0, self.relayed - self.applied)


@dataclass(frozen=True, slots=True)
class Lag:
    """The feed's mark, the relay's place and each read model's shards. Positions, which have few holes, count about
    as many events. `relay_alive`: a relay has been heard of within its lease."""

    mark: int
    relayed: int
    relay_holder: str
    relay_alive: bool
    shards: list[ShardLag]


def lag() -> Lag:
    """Three short statements; nothing is asked of Kafka, so that it answers when Kafka does not."""
    relay = lease.state(get_settings().kafka_topic)
    positions = relay.shard_positions if relay else []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.projection, c.shard, c.position FROM projection_checkpoints c JOIN projections p"
            " ON p.name = c.projection AND p.active_generation = c.generation ORDER BY c.projection, c.shard"
        )
        shards = [
            ShardLag(name, shard, positions[shard] if shard < len(positions) else 0, position)
            for name, shard, position in cursor.fetchall()
        ]
    return Lag(
        mark=feed.mark(),
        relayed=relay.position if relay else 0,
        relay_holder=relay.holder if relay else "",
        relay_alive=relay is not None and relay.alive,
        shards=shards,
    )
