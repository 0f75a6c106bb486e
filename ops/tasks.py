"""Celery's tasks of the ground floor."""

from dataclasses import asdict

import structlog
from celery import shared_task

from ops.approvals import sweeping as approvals
from ops.conf import get_settings
from ops.jobs import asking, running, sweeping

log = structlog.get_logger(__name__)

_LIMIT = get_settings().job_time_limit


# A job stops by itself at JOB_TIME_LIMIT; one that does not look at the clock is stopped, then killed.
@shared_task(name=asking.TASK, soft_time_limit=_LIMIT + 30, time_limit=_LIMIT + 60, registers_itself=True)
def run_job(job_id: int) -> None:
    """Carries out one job. Told twice of it, the second time does nothing."""
    if not running.run(job_id):
        log.info("job_not_claimed", job=job_id)


@shared_task(name="ops.sweep", soft_time_limit=60, time_limit=90)
def sweep() -> None:
    """Twice a minute: see `ops.jobs.sweeping` and `ops.approvals.sweeping`. Safe to run twice."""
    jobs = sweeping.sweep()
    questions = approvals.sweep()
    sweeping.note_sweep()
    if jobs.sent or jobs.buried or questions.expired or questions.resumed:
        log.info("swept", **asdict(jobs), **asdict(questions))
