"""What was found and what was done about it, on record."""

from django.db import models


class Incident(models.Model):
    """A finding, from the look that saw it first to the one that saw it no more. Kept as it was; only its end, and
    until then its last sight, are added. (An outage that comes back within minutes is the same one.)"""

    kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=200)
    reason = models.TextField(help_text="In a sentence, as it was at first.")
    detail = models.JSONField(default=dict, help_text="What was measured, at first.")
    began_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    resolution = models.CharField(max_length=200, blank=True, help_text="What ended it, where that is known.")

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["ended_at", "id"], name="incident_ended_id"),
            models.Index(fields=["kind", "id"], name="incident_kind_id"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"], condition=models.Q(ended_at=None), name="incident_open_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"


class Resolution(models.Model):
    """Something done by force: a statement cancelled, a session ended, a pool reset. Rows are only ever added."""

    class Action(models.TextChoices):
        CANCEL = "cancel", "Cancelled the statement"
        TERMINATE = "terminate", "Ended the session"
        RESET_POOL = "reset_pool", "Reset the pools"

    class Outcome(models.TextChoices):
        DONE = "done", "Done"
        GONE = "gone", "It was over by then"
        REFUSED = "refused", "Refused by PostgreSQL"

    at = models.DateTimeField(auto_now_add=True)
    action = models.CharField(max_length=10, choices=Action.choices)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    actor = models.CharField(max_length=200)
    reason = models.TextField()
    pid = models.IntegerField(null=True, help_text="The PostgreSQL backend.")
    backend_start = models.DateTimeField(null=True)
    operation = models.CharField(max_length=36, blank=True, help_text="Id of the operation that it worked for.")
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.action} {self.pid or ''}".strip()


class MonitorRun(models.Model):
    """The monitor's last look, one row: a monitor that is dead shows by it."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    holder = models.CharField(max_length=100, help_text="host:pid of the one that leads.")
    at = models.DateTimeField()
    seconds = models.FloatField(help_text="That the look took.")
    findings = models.IntegerField()

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="monitorrun_one_row")]

    def __str__(self) -> str:
        return f"{self.holder} at {self.at}"
