"""Recurring work of the event store."""

from dataclasses import asdict

import structlog
from celery import shared_task

from eventstore.cleanup import cleanup

log = structlog.get_logger(__name__)


@shared_task(name="eventstore.cleanup", soft_time_limit=600, time_limit=660)
def run_cleanup() -> None:
    """Hourly: see `eventstore.cleanup`. Safe to run twice."""
    report = cleanup()
    log.info("cleanup", **asdict(report))
