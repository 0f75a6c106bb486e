"""The relay's lease and checkpoint: one row a topic, changed only by comparing the epoch."""

from dataclasses import dataclass
from typing import Any

from django.db import connection

from eventstore.errors import EventStoreError

LEASE_SECONDS = 4.0
"""A relay that is not heard of for so long has lost its lease; a standby goes on from its checkpoint."""


class Fenced(EventStoreError):
    """Another relay has taken the lease. Nothing was changed; what was sent meanwhile is sent again by it."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to advance a topic's checkpoint, and where it stood when it was taken."""

    topic: str
    epoch: int
    position: int
    shard_positions: list[int]


@dataclass(frozen=True, slots=True)
class RelayState:
    """Where a topic's relay stands, and who it is. `alive`: the holder's lease has not run out."""

    epoch: int
    holder: str
    alive: bool
    position: int
    shard_positions: list[int]


def take(topic: str, holder: str, shards: int) -> Lease | None:
    """The lease, when nobody else has it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO relay_state (topic, shard_positions) VALUES (%s, array_fill(0::bigint, ARRAY[%s]))"
            " ON CONFLICT DO NOTHING",
            (topic, shards),
        )
        cursor.execute(
            """
            UPDATE relay_state
               SET epoch = epoch + 1, holder = %s, changed_at = clock_timestamp(),
                   leased_until = clock_timestamp() + make_interval(secs => %s)
             WHERE topic = %s AND leased_until < clock_timestamp()
            RETURNING epoch, position, shard_positions
            """,
            (holder, LEASE_SECONDS, topic),
        )
        row = cursor.fetchone()
    return Lease(topic, *row) if row else None


def renew(lease: Lease) -> None:
    """
    Raises:
        Fenced: another relay leads.
    """
    _change(lease, "leased_until = clock_timestamp() + make_interval(secs => %s)", (LEASE_SECONDS,))


def advance(lease: Lease, position: int, shard_positions: list[int]) -> None:
    """Moves the checkpoint, and renews the lease.

    Raises:
        Fenced: another relay leads.
    """
    _change(
        lease,
        "position = %s, shard_positions = %s, changed_at = clock_timestamp(),"
        " leased_until = clock_timestamp() + make_interval(secs => %s)",
        (position, shard_positions, LEASE_SECONDS),
    )


def give_back(lease: Lease) -> None:
    """Lets a standby go on at once. Does nothing when another one leads already."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE relay_state SET leased_until = '-infinity', holder = '' WHERE topic = %s AND epoch = %s",
            (lease.topic, lease.epoch),
        )


def state(topic: str) -> RelayState | None:
    """None: no relay has ever led."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT epoch, holder, leased_until >= clock_timestamp(), position, shard_positions"
            " FROM relay_state WHERE topic = %s",
            (topic,),
        )
        row = cursor.fetchone()
    return RelayState(*row) if row else None


def _change(lease: Lease, assignments: str, values: tuple[Any, ...]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE relay_state SET {assignments} WHERE topic = %s AND epoch = %s",
            (*values, lease.topic, lease.epoch),
        )
        if cursor.rowcount != 1:
            raise Fenced(f"epoch {lease.epoch} of topic {lease.topic} is over")
