"""Whether somebody works: Celery's beat and workers, told by what they leave in PostgreSQL."""

from django.db import Error, connection

from ops.health.report import Limit, Report, judge

MOST_SILENT = 180
"""Seconds. A sweep comes every 30; it may have to wait for a place in the worker."""
MOST_UNSERVED = 120
"""Seconds. A waiting job is told to a worker again after 60."""
AT_WORK = """
    SELECT (SELECT holder FROM ops_sweeprun),
           (SELECT extract(epoch FROM clock_timestamp() - at)::float FROM ops_sweeprun),
           count(*) FILTER (WHERE state = 'queued'),
           count(*) FILTER (WHERE state = 'running'),
           extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE state = 'queued'))::float,
           extract(epoch FROM clock_timestamp() - (SELECT max(ended_at) FROM ops_job))::float
      FROM ops_job WHERE ended_at IS NULL
"""


def check_jobs() -> Report:
    """The last sweep, which beat asks a worker for, and jobs that wait although no other is being carried out.

    Without beat and workers no hold is given up, nothing is cleaned up, and the books are not proved at night; a bank
    where they were never started is told as degraded."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(AT_WORK)
            holder, silent, waiting, running, waited, since_last = cursor.fetchone()
    except Error:
        return Report("unhealthy", "PostgreSQL, which knows, does not answer")
    unserved = min(waited, waited if since_last is None else since_last) if waiting and not running else 0.0
    values = {
        "silent_seconds": None if silent is None else round(silent, 1),
        "holder": holder,
        "waiting": waiting,
        "running": running,
        "unserved_seconds": round(unserved, 1),
    }
    if silent is None:
        return Report("degraded", "no worker has ever swept: start Celery's beat and worker", values)
    limits = (
        Limit("silent_seconds", "beat or worker is not at work", unhealthy=MOST_SILENT),
        Limit("unserved_seconds", "jobs wait, and no worker takes them", unhealthy=MOST_UNSERVED),
    )
    return judge(values, limits, well="beat and worker are at work")
