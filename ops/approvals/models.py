"""What was asked for, and what a second person decided."""

import hashlib
from typing import Any

import orjson
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from uuid_utils.compat import uuid7


class Approval(models.Model):
    """One command that waits, or waited, for a second person. What was asked never changes: the database refuses it
    (see migration 0011)."""

    class State(models.TextChoices):
        PENDING = "pending", "Waiting"
        APPROVED = "approved", "Approved"
        REFUSED = "refused", "Refused"
        STALE = "stale", "Stale"
        WITHDRAWN = "withdrawn", "Withdrawn"
        EXPIRED = "expired", "Expired"

    class Outcome(models.TextChoices):
        NONE = "", "–"
        DONE = "done", "Done"
        FAILED = "failed", "Not done"
        COLLECT = "collect", "Waits for who asked"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    action = models.CharField(max_length=60)
    subject = models.CharField(max_length=200)
    command = models.TextField(help_text="Exactly what would be done: canonical JSON.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the command.")
    preview = models.JSONField(help_text="What it would have done when it was asked for, in lines.")
    versions = models.JSONField(help_text="What it was looked at on: it counts for these alone.")
    limit = models.CharField(max_length=200, blank=True, help_text="Why it takes a second person.")
    asked_by = models.CharField(max_length=200)
    asker = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(auto_now_add=True)
    reason = models.TextField()
    expires_at = models.DateTimeField()

    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    decided_by = models.CharField(max_length=200, blank=True)
    decider = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)
    decision_reason = models.TextField(blank=True)

    outcome = models.CharField(max_length=10, choices=Outcome.choices, blank=True, default="")
    result = models.JSONField(default=list, help_text="What came of it, in lines.")
    result_url = models.CharField(max_length=300, blank=True)
    executed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("decide_approval", "Can approve or refuse what others ask for")]
        indexes = [models.Index(fields=["state", "id"], name="approval_state_id")]
        constraints = [
            models.CheckConstraint(condition=~Q(decided_by=F("asked_by")), name="approval_by_another"),
            models.CheckConstraint(
                condition=Q(asker=None) | Q(decider=None) | ~Q(decider=F("asker")), name="approval_by_another_user"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["approved", "refused"]) | (~Q(decided_by="") & Q(decided_at__isnull=False)),
                name="approval_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(executed_at=None) | Q(state__in=["approved", "stale"]), name="approval_before_execution"
            ),
            models.UniqueConstraint(
                fields=["action", "digest"], condition=Q(state="pending"), name="approval_asked_once_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action.replace('_', ' ')} {self.subject}"

    @property
    def data(self) -> dict[str, Any]:
        """The command.

        Raises:
            AssertionError: it is not what its digest says.
        """
        assert digest_of(self.command) == self.digest, f"approval {self.pk} was tampered with"
        found: dict[str, Any] = orjson.loads(self.command)
        return found


def canonical(command: dict[str, Any]) -> str:
    """One text for one command: keys in order, no spaces."""
    return orjson.dumps(command, option=orjson.OPT_SORT_KEYS).decode()


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
