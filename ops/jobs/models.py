"""A job and the lines of its log."""

from django.db import models
from django.db.models import Q


class Job(models.Model):
    """One run of a registered action. The row is the truth; a message to a worker only points to it."""

    class State(models.TextChoices):
        QUEUED = "queued", "Waiting for a worker"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    action = models.CharField(max_length=60)
    subject = models.CharField(max_length=200, help_text="What it works on, as the audit names it.")
    input = models.JSONField(default=dict)
    reason = models.TextField()
    asked_by = models.CharField(max_length=200)
    approved_by = models.CharField(max_length=200, blank=True)
    key = models.CharField(max_length=100, null=True, unique=True, help_text="There is one job for it, ever.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    step = models.CharField(max_length=200, blank=True)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, help_text="When a worker was last told of it.")
    started_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    worker = models.CharField(max_length=100, blank=True, help_text="host:pid of the process that claimed it.")
    cancel_asked_by = models.CharField(max_length=200, blank=True)
    report = models.JSONField(default=list, help_text="What it did, in lines.")
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["state", "id"], name="job_unfinished", condition=Q(ended_at=None)),
            models.Index(fields=["ended_at"], name="job_ended"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["queued", "running"], ended_at=None)
                | Q(state__in=["done", "failed", "cancelled"], ended_at__isnull=False),
                name="job_ended_when_finished",
            ),
            models.CheckConstraint(
                condition=~Q(state="running") | Q(started_at__isnull=False, heartbeat_at__isnull=False),
                name="job_running_has_a_worker",
            ),
        ]

    def __str__(self) -> str:
        return f"Job {self.pk}"

    @property
    def is_ended(self) -> bool:
        return self.ended_at is not None

    @property
    def percent(self) -> int | None:
        """How far it is, 0 to 100; None where that is not known."""
        return min(100, 100 * self.done // self.total) if self.total else None


class SweepRun(models.Model):
    """The last sweep, one row: without it neither beat nor worker is at work."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    holder = models.CharField(max_length=100, help_text="host:pid of the worker.")
    at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=Q(id=1), name="sweeprun_one_row")]

    def __str__(self) -> str:
        return f"{self.holder} at {self.at}"


class JobLine(models.Model):
    """A line of a job's log. Their number is bounded: see `pulse`."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="lines")
    at = models.DateTimeField()
    text = models.CharField(max_length=500)

    class Meta:
        ordering = ["id"]
        default_permissions = ()

    def __str__(self) -> str:
        return self.text
