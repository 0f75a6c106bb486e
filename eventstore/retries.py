"""How often an idempotency key came again after its command was executed. Written only then: a command that is new
pays nothing for it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from eventstore import arrays
from ops.database.exchange import Exchange


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a key came again: with the same request, which got the first answer, and with another one, which was
    refused."""

    replays: int
    mismatches: int
    last_at: datetime


def count_retries(exchange: Exchange, retried: Sequence[tuple[UUID, bool]], at: datetime) -> None:
    """Counts keys that came again, by the command that each led to, with whether it was the same request.

    In the order of ids, so that two transactions with the same keys do not wait for each other in a circle.
    """
    replays = Counter(command_id for command_id, same in retried if same)
    mismatches = Counter(command_id for command_id, same in retried if not same)
    ids = sorted(replays.keys() | mismatches.keys())
    exchange.send(
        """
        INSERT INTO idempotency_retries AS r (command_id, replays, mismatches, last_at)
        SELECT *, $1::timestamptz FROM unnest($2::uuid[], $3::bigint[], $4::bigint[])
            ON CONFLICT (command_id) DO UPDATE
           SET replays = r.replays + excluded.replays,
               mismatches = r.mismatches + excluded.mismatches,
               last_at = excluded.last_at
        """,
        (
            at.isoformat(),
            arrays.uuids(ids),
            arrays.bigints(replays[each] for each in ids),
            arrays.bigints(mismatches[each] for each in ids),
        ),
    )


def retries_of(command_id: UUID) -> Retries | None:
    """None where the key of this command did not come again, or that was too long ago."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT replays, mismatches, last_at FROM idempotency_retries WHERE command_id = %s", (command_id,)
        )
        row = cursor.fetchone()
    return Retries(*row) if row else None
