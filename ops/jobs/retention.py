"""Removing finished jobs that are old enough, with their logs."""

from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone

from ops.conf import get_settings
from ops.jobs.models import Job, JobLine


def prune(limit: int) -> int:
    """Removes at most `limit` jobs that ended more than JOB_RETENTION_DAYS ago; returns how many."""
    ids = list(_expired().order_by("ended_at").values_list("pk", flat=True)[:limit])
    JobLine.objects.filter(job__in=ids).delete()
    Job.objects.filter(pk__in=ids).delete()
    return len(ids)


def expired(limit: int) -> int:
    """How many `prune` would remove, counted up to `limit`."""
    return _expired()[:limit].count()


def _expired() -> QuerySet[Job]:
    before = timezone.now() - timedelta(days=get_settings().job_retention_days)
    return Job.objects.filter(ended_at__lt=before)
