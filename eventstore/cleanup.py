"""Removing what may go: old idempotency records, snapshots, deliveries of webhooks, sessions of browsers, ended
incidents, old viewings and finished jobs; and, when a person asks for it, rows of read models that no event accounts
for. Events never go, nor what is on record: audit entries and resolutions.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from django.db import connection

from eventstore import snapshots
from eventstore.projections import orphans
from ops.audit import viewings
from ops.conf import get_settings
from ops.debug.cleanup import CleanedUp, Step
from ops.detectors import incidents
from ops.jobs import retention as finished_jobs
from ops.signin import sessions
from ops.webhooks import retention

BATCH = 10_000
MAX_BATCHES = 100


@dataclass(frozen=True, slots=True)
class CleanupReport:
    """How many rows were removed."""

    idempotency_records: int
    snapshots: int
    webhook_deliveries: int
    sessions: int
    incidents: int
    viewings: int
    finished_jobs: int


def clean_up_all(dry_run: bool, step: Step) -> CleanedUp:
    """`cleanup` and the orphaned rows of the read models, in the form that the ground floor asks for."""
    report = asdict(would_clean_up() if dry_run else cleanup(step))
    step("orphaned rows of read models")
    orphaned = orphans.remove(dry_run=dry_run)
    by_table = {f"orphaned_{table}": rows for table, rows in orphaned.rows.items()}
    return CleanedUp(report | by_table, orphaned.unfinished)


def cleanup(step: Step = lambda kind: None) -> CleanupReport:
    """Removes what is past its retention and all but the newest snapshots, in bounded batches. Hourly."""
    settings = get_settings()

    def repeat(kind: str, remove_some: Callable[[], int]) -> int:
        step(kind)
        return _repeat(remove_some)

    return CleanupReport(
        idempotency_records=repeat(
            "idempotency records", lambda: _expire_records(settings.idempotency_retention_hours)
        ),
        snapshots=repeat("snapshots", lambda: snapshots.prune(keep=settings.snapshots_kept, limit=BATCH)),
        webhook_deliveries=repeat("webhook deliveries", lambda: retention.prune(limit=BATCH)),
        sessions=repeat("sessions", lambda: sessions.prune(limit=BATCH)),
        incidents=repeat("incidents", lambda: incidents.prune(limit=BATCH)),
        viewings=repeat("viewings", lambda: viewings.prune(limit=BATCH)),
        finished_jobs=repeat("finished jobs", lambda: finished_jobs.prune(limit=BATCH)),
    )


def would_clean_up() -> CleanupReport:
    """What `cleanup` would remove now; nothing is changed. At most as many are counted as one cleanup removes."""
    settings, most = get_settings(), BATCH * MAX_BATCHES
    return CleanupReport(
        idempotency_records=_expired_records(settings.idempotency_retention_hours, most),
        snapshots=snapshots.superseded(keep=settings.snapshots_kept, limit=most),
        webhook_deliveries=retention.expired(limit=most),
        sessions=sessions.expired(limit=most),
        incidents=incidents.superfluous(limit=most),
        viewings=viewings.expired(limit=most),
        finished_jobs=finished_jobs.expired(limit=most),
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
    """Returns the number of records; counts of retries go with them, and are not counted themselves."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM idempotency_retries WHERE last_at < now() - make_interval(hours => %s)", (retention_hours,)
        )
        cursor.execute(
            """
            DELETE FROM idempotency_records
             WHERE (scope, key) IN (SELECT scope, key FROM idempotency_records
                                     WHERE created_at < now() - make_interval(hours => %s) LIMIT %s)
            """,
            (retention_hours, BATCH),
        )
        return cursor.rowcount
