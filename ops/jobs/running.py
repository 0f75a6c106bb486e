"""Carrying a job out, once."""

import os
import socket
import traceback
from dataclasses import dataclass, field

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models.functions import Now

from ops.audit.record import record_act
from ops.conf import get_settings
from ops.jobs.models import Job
from ops.jobs.progress import Cancelled, OutOfTime, Progress
from ops.jobs.pulse import Busy, Pulse
from ops.jobs.registry import JobFailed, Order, UnknownAction, action_of
from ops.operations import operation

log = structlog.get_logger(__name__)

MOST_REPORT_LINES = 500
FINISH_TRIES = 3


@dataclass(frozen=True, slots=True)
class Ended:
    """How it went."""

    state: Job.State
    report: list[str] = field(default_factory=list)
    error: str = ""


def run(job_id: int) -> bool:
    """Claims the job and carries it out; False where it is not there to be claimed: it is being carried out, has
    ended, or was cancelled. A job that was claimed once is never claimed again, whatever becomes of its worker."""
    pulse = Pulse(job_id)
    try:
        pulse.lock()
    except Busy:
        return False
    try:
        job = _claim(job_id)
        if job is None:
            return False
        progress = Progress(get_settings().job_time_limit)
        resources = (f"job {job.pk}", job.subject)
        limit = get_settings().job_time_limit
        with (
            operation("job", job.action, timeout=limit, resources=resources, actor=job.asked_by),
            pulse.beating(progress),
        ):
            ended = _carry_out(job, progress)
        _finish(job, ended)
        return True
    finally:
        pulse.close()


def _claim(job_id: int) -> Job | None:
    claimed = Job.objects.filter(pk=job_id, state=Job.State.QUEUED).update(
        state=Job.State.RUNNING,
        started_at=Now(),
        heartbeat_at=Now(),
        worker=f"{socket.gethostname()}:{os.getpid()}"[:100],
    )
    return Job.objects.get(pk=job_id) if claimed else None


def _carry_out(job: Job, progress: Progress) -> Ended:
    log.info("job_began", job=job.pk, action=job.action, subject=job.subject, actor=job.asked_by)
    try:
        action = action_of(job.action)
        report = action.run(Order(job.input, job.asked_by, job.reason, job.approved_by), progress)
        return Ended(Job.State.DONE, _bounded(list(report)))
    except Cancelled as why:
        return Ended(Job.State.CANCELLED, error=f"Cancelled: {why} What had been finished by then stays.")
    except (OutOfTime, SoftTimeLimitExceeded):
        limit = get_settings().job_time_limit
        return Ended(
            Job.State.FAILED,
            error=f"It took longer than JOB_TIME_LIMIT ({limit} s) and was stopped. {action.if_interrupted}",
        )
    except JobFailed as why:
        return Ended(Job.State.FAILED, _bounded(why.report), str(why))
    except UnknownAction as why:
        return Ended(Job.State.FAILED, error=str(why))
    except Exception as error:
        log.exception("job_failed", job=job.pk, action=job.action)
        connection.close()  # it may be broken
        told = "".join(traceback.format_exception_only(error)).strip()[:1000]
        return Ended(Job.State.FAILED, error=f"{told}. {action.if_interrupted}")


def _bounded(report: list[str]) -> list[str]:
    if len(report) <= MOST_REPORT_LINES:
        return report
    return [*report[:MOST_REPORT_LINES], f"{len(report) - MOST_REPORT_LINES} further lines are left out."]


def _finish(job: Job, ended: Ended) -> None:
    """Writes down how it went, with the audit entry. Where PostgreSQL is away for longer than a few tries, the sweep
    will find a job without a worker."""
    for tries_left in reversed(range(FINISH_TRIES)):
        try:
            with transaction.atomic():
                _write_end(job, ended)
        except (DatabaseError, InterfaceError):
            connection.close()
            if not tries_left:
                raise
        else:
            break
    log.info("job_ended", job=job.pk, action=job.action, state=ended.state.value, error=ended.error)


def _write_end(job: Job, ended: Ended) -> None:
    running = Job.objects.filter(pk=job.pk, state=Job.State.RUNNING)
    if running.update(state=ended.state, ended_at=Now(), report=ended.report, error=ended.error):
        record_end(job, done=ended.state == Job.State.DONE, told=ended.report or [ended.error])


def record_end(job: Job, *, done: bool, told: list[str]) -> None:
    """The audit entry of what was done in the name of who asked."""
    detail = {"job": job.pk, "input": job.input, "report": told}
    if job.approved_by:
        detail["approved_by"] = job.approved_by
    record_act(
        actor=job.asked_by, action=job.action, subject=job.subject, reason=job.reason, done=done, detail=detail
    )
