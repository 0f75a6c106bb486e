"""Whether somebody looks: the heartbeat of `manage.py run_monitor`."""

from django.db import Error
from django.utils import timezone

from ops.conf import get_settings
from ops.detectors.models import Incident, MonitorRun
from ops.health.report import Limit, Report, judge

MISSED = 3
"""Looks in a row that the monitor may miss before it is taken for dead; and so many seconds more to start anew."""
GRACE = 5.0


def check_monitor() -> Report:
    """When it looked last, and what is open. Without a monitor nothing detects deadlocks and stuck operations by
    itself, so a dead one is unhealthy; one that was never started is told as degraded."""
    try:
        run = MonitorRun.objects.first()
        open_incidents = Incident.objects.filter(ended_at=None).count()
    except Error:
        return Report("unhealthy", "PostgreSQL, which knows, does not answer")
    if run is None:
        return Report("degraded", "no monitor has ever looked: start manage.py run_monitor", {"silent_seconds": None})
    values = {
        "silent_seconds": round((timezone.now() - run.at).total_seconds(), 3),
        "looked_at": run.at.isoformat(timespec="milliseconds"),
        "took_seconds": run.seconds,
        "holder": run.holder,
        "findings": run.findings,
        "open_incidents": open_incidents,
    }
    patience = MISSED * get_settings().deadlock_check_interval + GRACE
    limits = (
        Limit("silent_seconds", "the monitor does not look", unhealthy=patience),
        Limit("open_incidents", "incidents are open", degraded=0),
    )
    return judge(values, limits, well="looks, and finds nothing")
