"""Making a job, telling a worker of it, and asking it to stop."""

from collections.abc import Sequence
from typing import Any

import structlog
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from ops.jobs.models import Job
from ops.jobs.registry import action_of

log = structlog.get_logger(__name__)

TASK = "ops.run_job"
NOT_SENT = (
    "The job waits: Celery's broker (Redis) does not answer. It is begun as soon as broker and worker run again; "
    "nothing has to be asked for anew."
)


def make(
    action: str,
    *,
    subject: str,
    input: dict[str, Any],
    reason: str,
    actor: str,
    approved_by: str = "",
    key: str | None = None,
) -> Job:
    """A job that waits. Call `send` when the caller's transaction is committed. With a `key` that led to a job
    before, it is that job.

    Raises:
        UnknownAction: nothing of that name is registered.
    """
    action_of(action)
    job = Job(
        action=action,
        subject=subject[:200],
        input=input,
        reason=reason,
        asked_by=actor[:200],
        approved_by=approved_by[:200],
        key=key,
    )
    try:
        with transaction.atomic():
            job.save(force_insert=True)
    except IntegrityError:
        if key is None:
            raise
        return Job.objects.get(key=key)
    return job


def send(job: Job) -> bool:
    """Tells a worker of the job; False where the broker does not answer, and the sweep tells it later."""
    from celery import current_app
    from kombu.exceptions import OperationalError

    try:
        current_app.send_task(TASK, args=[job.pk], retry=False)
    except (OperationalError, OSError) as error:
        log.warning("job_not_sent", job=job.pk, action=job.action, error=repr(error))
        return False
    Job.objects.filter(pk=job.pk).update(sent_at=Now())
    return True


def keep_report(
    action: str, *, subject: str, input: dict[str, Any], reason: str, actor: str, report: Sequence[str], **more: Any
) -> Job:
    """What was done at once, without a worker, is kept among the jobs as a finished one."""
    now = timezone.now()
    return Job.objects.create(
        action=action,
        subject=subject[:200],
        input=input,
        reason=reason,
        asked_by=actor[:200],
        state=Job.State.DONE,
        started_at=now,
        ended_at=now,
        report=list(report),
        **more,
    )


def cancel(job_id: int, *, by: str) -> str:
    """Has a job stop: one that waits at once, one that runs at its next safe point. Returns what comes of it, in
    words; "" where it had ended before."""
    jobs = Job.objects.filter(pk=job_id)
    waiting = jobs.filter(state=Job.State.QUEUED)
    if waiting.update(state=Job.State.CANCELLED, ended_at=Now(), cancel_asked_by=by[:200]):
        return "The job is cancelled: it had not begun."
    if jobs.filter(state=Job.State.RUNNING).update(cancel_asked_by=by[:200]):
        return "The job will stop at its next safe point. What it has finished by then stays."
    return ""
