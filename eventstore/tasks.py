"""Recurring work of the event store."""

import structlog
from celery import shared_task

from eventstore.cleanup import cleanup
from ops.timeouts import within

log = structlog.get_logger(__name__)

CLEANUP_WITHIN = 3000.0
"""Seconds: less than from one run to the next."""


@shared_task(name="eventstore.cleanup", soft_time_limit=3300, time_limit=3360)
def run_cleanup() -> None:
    """Hourly: see `eventstore.cleanup`. What is left over goes with the next run. Safe to run twice."""
    with within(CLEANUP_WITHIN):
        done = cleanup()
    log.info("cleanup", **done.removed, unfinished=done.unfinished)
