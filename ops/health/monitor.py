"""Whether somebody looks: the heartbeat of `manage.py run_monitor`."""

from django.db import Error, connection
from django.utils import timezone

from ops.conf import get_settings
from ops.health.report import Limit, Report, judge

MISSED = 3
"""Looks in a row that the monitor may miss before it is taken for dead; and so many seconds more to start anew."""
GRACE = 5.0
LAST_RUN = """
    SELECT at, seconds, holder, findings, (SELECT count(*) FROM ops_incident WHERE ended_at IS NULL)
      FROM ops_monitorrun ORDER BY id LIMIT 1
"""


def check_monitor() -> Report:
    """When it looked last, and what is open. Without a monitor nothing detects deadlocks and stuck operations by
    itself, so a dead one is unhealthy; one that was never started is told as degraded."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(LAST_RUN)
            run = cursor.fetchone()
    except Error:
        return Report("unhealthy", "PostgreSQL, which knows, does not answer")
    if run is None:
        return Report("degraded", "no monitor has ever looked: start manage.py run_monitor", {"silent_seconds": None})
    at, seconds, holder, findings, open_incidents = run
    values = {
        "silent_seconds": round((timezone.now() - at).total_seconds(), 3),
        "looked_at": at.isoformat(timespec="milliseconds"),
        "took_seconds": seconds,
        "holder": holder,
        "findings": findings,
        "open_incidents": open_incidents,
    }
    patience = MISSED * get_settings().deadlock_check_interval + GRACE
    limits = (
        Limit("silent_seconds", "the monitor does not look", unhealthy=patience),
        Limit("open_incidents", "incidents are open", degraded=0),
    )
    return judge(values, limits, well="looks, and finds nothing")
