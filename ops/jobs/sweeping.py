"""Finding what was lost on the way: messages that no worker got, and jobs whose worker died."""

import os
import socket
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from ops.database.locks import session_lock
from ops.jobs.asking import send
from ops.jobs.models import Job, SweepRun
from ops.jobs.pulse import lock_of
from ops.jobs.registry import UnknownAction, action_of
from ops.jobs.running import record_end

log = structlog.get_logger(__name__)

DEAD_AFTER = 15.0
"""Seconds without a heartbeat after which a job whose lock is free counts as given up. It beats once a second."""
SEND_AGAIN_AFTER = 60.0
"""Seconds after which a worker is told again of a job that still waits."""
MOST = 100
"""Jobs looked at by one sweep; the next one goes on."""


@dataclass(frozen=True, slots=True)
class Swept:
    """How many jobs a worker was told of again, and how many were found without one."""

    sent: int
    buried: int


def sweep() -> Swept:
    """Safe to run twice at once."""
    return Swept(sent=_send_again(), buried=sum(bury(job) for job in _silent()))


def note_sweep() -> None:
    """For the health of `jobs`: beat and a worker are alive."""
    holder = f"{socket.gethostname()}:{os.getpid()}"[:100]
    SweepRun.objects.update_or_create(id=1, defaults={"holder": holder, "at": timezone.now()})


def _silent() -> list[Job]:
    before = timezone.now() - timedelta(seconds=DEAD_AFTER)
    return list(Job.objects.filter(state=Job.State.RUNNING, heartbeat_at__lt=before).order_by("id")[:MOST])


def bury(job: Job) -> bool:
    """Marks a job failed whose worker is gone: silent, and its lock free. It is not carried out anew by itself, since
    nobody knows how far it had come."""
    with session_lock(lock_of(job.pk)) as free:
        if not free:
            return False
        try:
            advice = action_of(job.action).if_interrupted
        except UnknownAction as unknown:
            advice = str(unknown)
        at = f" at “{job.step}”" if job.step else ""
        error = (
            f"Its worker ({job.worker}) ended in the midst of it{at}: it was killed, ran out of memory or was "
            f"restarted. {advice}"
        )
        with transaction.atomic():
            same = Job.objects.filter(pk=job.pk, state=Job.State.RUNNING, heartbeat_at=job.heartbeat_at)
            if not same.update(state=Job.State.FAILED, ended_at=Now(), error=error):
                return False
            record_end(job, done=False, told=[error])
    log.error("job_lost_its_worker", job=job.pk, action=job.action, worker=job.worker)
    return True


def _send_again() -> int:
    """Those of which no worker was told lately. Told twice, the second finds nothing to claim."""
    before = timezone.now() - timedelta(seconds=SEND_AGAIN_AFTER)
    late = Q(sent_at__lt=before) | Q(sent_at=None, created_at__lt=timezone.now() - timedelta(seconds=2))
    sent = 0
    for job in Job.objects.filter(late, state=Job.State.QUEUED).order_by("id")[:MOST]:
        if not send(job):
            break  # the broker is away: the next sweep tries again
        sent += 1
    return sent
