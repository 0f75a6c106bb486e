"""Removing what may go: old idempotency records, snapshots, deliveries of webhooks, sessions of browsers, ended
incidents, old viewings and finished jobs; and, when a person asks for it, rows of read models that no event accounts
for. Events never go, nor what is on record: audit entries and resolutions.
"""

from collections.abc import Callable

from django.db import connection, transaction

from eventstore import snapshots
from eventstore.projections import orphans
from ops.audit import viewings
from ops.conf import get_settings
from ops.debug.cleanup import ENOUGH, CleanedUp, Step, remove_in_batches
from ops.detectors import incidents
from ops.jobs import retention as finished_jobs
from ops.signin import sessions
from ops.timeouts import time_left
from ops.webhooks import retention

BATCH = 10_000
START = "(0,0)"
"""Before the first row of a table, as a place in it."""
MOST_COUNTED = 1_000_000
"""Rows of a kind; a dry run counts no further."""


def clean_up_all(dry_run: bool, step: Step) -> CleanedUp:
    """`cleanup` and the orphaned rows of the read models, in the form that the ground floor asks for."""
    done = would_clean_up() if dry_run else cleanup(step)
    step("orphaned rows of read models")
    orphaned = orphans.remove(dry_run=dry_run)
    by_table = {f"orphaned_{table}": rows for table, rows in orphaned.rows.items()}
    done.add(CleanedUp(by_table, orphaned.unfinished))
    return done


def cleanup(step: Step = lambda kind: None) -> CleanedUp:
    """Removes what is past its retention and all but the newest snapshots, in batches, within the time that
    `ops.timeouts.within` leaves. Idempotency records come last: they are the most, and keep nothing else waiting."""
    settings = get_settings()
    removals: dict[str, Callable[[], int]] = {
        "webhook_deliveries": lambda: retention.prune(limit=BATCH),
        "sessions": lambda: sessions.prune(limit=BATCH),
        "incidents": lambda: incidents.prune(limit=BATCH),
        "viewings": lambda: viewings.prune(limit=BATCH),
        "finished_jobs": lambda: finished_jobs.prune(limit=BATCH),
        "idempotency_records": Expiry(settings.idempotency_retention_hours).remove_some,
    }
    done = _prune_snapshots(settings.snapshots_kept, step)
    for kind, remove_some in removals.items():
        done.add(remove_in_batches(kind, remove_some, BATCH, step))
    return done


def _prune_snapshots(keep: int, step: Step) -> CleanedUp:
    """Some streams at a time, most with none to remove: the whole table at once would be one long statement."""
    removed, steps = 0, snapshots.prune(keep=keep, limit=BATCH)
    while time_left(ENOUGH) >= ENOUGH:
        step("snapshots")
        some = next(steps, None)
        if some is None:
            return CleanedUp({"snapshots": removed})
        removed += some
    return CleanedUp({"snapshots": removed}, ["snapshots"])


def would_clean_up() -> CleanedUp:
    """What `cleanup` would remove now, counted up to `MOST_COUNTED` of each kind; nothing is changed."""
    settings, most = get_settings(), MOST_COUNTED
    return CleanedUp(
        {
            "snapshots": snapshots.superseded(keep=settings.snapshots_kept, limit=most),
            "webhook_deliveries": retention.expired(limit=most),
            "sessions": sessions.expired(limit=most),
            "incidents": incidents.superfluous(limit=most),
            "viewings": viewings.expired(limit=most),
            "finished_jobs": finished_jobs.expired(limit=most),
            "idempotency_records": _expired_records(settings.idempotency_retention_hours, most),
        }
    )


def _expired_records(retention_hours: int, most: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT FROM idempotency_records"
            " WHERE created_at < now() - make_interval(hours => %s) LIMIT %s) old",
            (retention_hours, most),
        )
        return int(cursor.fetchone()[0])


class Expiry:
    """Removes records past their retention, and the counts of their retries, which are not counted themselves.

    Each batch goes on in the table where the one before it ended: what was removed lies there still, and would be
    gone through again. What comes to lie before that is young, or waits for the next cleanup.
    """

    def __init__(self, retention_hours: int) -> None:
        self._retention_hours = retention_hours
        self._reached: dict[str, str | None] = {"idempotency_retries": START, "idempotency_records": START}

    def remove_some(self) -> int:
        """Returns the number of records."""
        self._remove("idempotency_retries", "last_at")
        return self._remove("idempotency_records", "created_at")

    def _remove(self, table: str, column: str) -> int:
        if self._reached[table] is None:
            return 0
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronize_seqscans = off")  # from the start on, not from where others read
            cursor.execute(
                f"""
                WITH old AS MATERIALIZED (
                     SELECT ctid AS place FROM {table}
                      WHERE {column} < now() - make_interval(hours => %s) AND ctid > %s::tid LIMIT %s),
                     gone AS (DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT place FROM old)))
                SELECT count(*), max(place)::text FROM old
                """,
                (self._retention_hours, self._reached[table], BATCH),
            )
            count, last = cursor.fetchone()
        self._reached[table] = last if count == BATCH else None
        return int(count)
