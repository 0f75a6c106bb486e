"""Removing what may go: old idempotency records, snapshots and deliveries of webhooks. Events never go."""

from collections.abc import Callable
from dataclasses import dataclass

from django.db import connection

from eventstore import snapshots
from ops.conf import get_settings
from ops.webhooks import retention

BATCH = 10_000
MAX_BATCHES = 100


@dataclass(frozen=True, slots=True)
class CleanupReport:
    """How many rows were removed."""

    idempotency_records: int
    snapshots: int
    webhook_deliveries: int


def cleanup() -> CleanupReport:
    """Removes idempotency records and deliveries past their retention and all but the newest snapshots, in bounded
    batches."""
    settings = get_settings()
    return CleanupReport(
        idempotency_records=_repeat(lambda: _expire_records(settings.idempotency_retention_hours)),
        snapshots=_repeat(lambda: snapshots.prune(keep=settings.snapshots_kept, limit=BATCH)),
        webhook_deliveries=_repeat(lambda: retention.prune(limit=BATCH)),
    )


def would_clean_up() -> CleanupReport:
    """What `cleanup` would remove now; nothing is changed. At most as many are counted as one cleanup removes."""
    settings, most = get_settings(), BATCH * MAX_BATCHES
    return CleanupReport(
        idempotency_records=_expired_records(settings.idempotency_retention_hours, most),
        snapshots=snapshots.superseded(keep=settings.snapshots_kept, limit=most),
        webhook_deliveries=retention.expired(limit=most),
    )


def _expired_records(retention_hours: int, most: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT FROM idempotency_records"
            " WHERE created_at < now() - make_interval(hours => %s) LIMIT %s) old",
            (retention_hours, most),
        )
        return int(cursor.fetchone()[0])


def _repeat(remove_some: Callable[[], int]) -> int:
    total = 0
    for _ in range(MAX_BATCHES):
        removed = remove_some()
        total += removed
        if removed < BATCH:
            break
    return total


def _expire_records(retention_hours: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM idempotency_records
             WHERE (scope, key) IN (SELECT scope, key FROM idempotency_records
                                     WHERE created_at < now() - make_interval(hours => %s) LIMIT %s)
            """,
            (retention_hours, BATCH),
        )
        return cursor.rowcount
