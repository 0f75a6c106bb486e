"""What the ground floor keeps: who may call the API, and who did what in the admin."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from ops.access.models import BreakersAccess, CacheAccess, ListAccess, OperationsAccess
from ops.approvals.models import Approval
from ops.audit.models import Viewing
from ops.detectors.models import Incident, MonitorRun, Resolution
from ops.jobs.models import Job, JobLine, SweepRun
from ops.signin.models import Preference, SecondFactor, SignInLock, StaffSession
from ops.trends.models import Sample
from ops.webhooks.models import Webhook, WebhookAttempt, WebhookDelivery, WebhookLane

__all__ = [
    "ApiClient",
    "ApiKey",
    "Approval",
    "AuditEntry",
    "BreakersAccess",
    "CacheAccess",
    "Incident",
    "Job",
    "JobLine",
    "ListAccess",
    "MonitorRun",
    "OperationsAccess",
    "Preference",
    "Resolution",
    "Sample",
    "SecondFactor",
    "SignInLock",
    "StaffSession",
    "SweepRun",
    "Viewing",
    "Webhook",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookLane",
]


class ApiClient(models.Model):
    """A program that calls the API: a card processor, an app, a partner."""

    class Reach(models.TextChoices):
        OWN = "own", "Accounts that it opened"
        ALL = "all", "All accounts of the bank"

    name = models.SlugField(max_length=60, unique=True, help_text="Appears in every event that it causes.")
    reach = models.CharField(max_length=3, choices=Reach.choices, default=Reach.OWN)
    is_active = models.BooleanField(default=True, help_text="Unticked, none of its keys works.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name = "API client"

    def __str__(self) -> str:
        return self.name

    # What DRF and Django ask of a user.
    is_authenticated = True
    is_anonymous = False

    @property
    def actor(self) -> str:
        return f"client:{self.name}"

    @property
    def custodian(self) -> str | None:
        """The custodian that its commands are limited to; None where it may act for any account."""
        return None if self.reach == self.Reach.ALL else self.actor


class ApiKey(models.Model):
    """A secret of a client. Only its SHA-256 is kept: it has 256 random bits, so that a slow hash adds nothing."""

    client = models.ForeignKey(ApiClient, on_delete=models.PROTECT, related_name="keys")
    prefix = models.CharField(max_length=12, unique=True, help_text="The key's public part, by which it is found.")
    digest = models.BinaryField(max_length=32)
    scopes = ArrayField(models.CharField(max_length=40))
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True, help_text="To the minute.")

    class Meta:
        ordering = ["-created_at"]
        verbose_name = "API key"
        default_permissions = ("view",)
        permissions = [("issue_apikey", "Can issue API keys"), ("revoke_apikey", "Can revoke API keys")]

    def __str__(self) -> str:
        return f"{self.client} {self.prefix}…"


class AuditEntry(models.Model):
    """One thing that a person did, or tried to do, in the admin. Rows are only ever added."""

    class Outcome(models.TextChoices):
        DONE = "done", "Done"
        REFUSED = "refused", "Refused"

    at = models.DateTimeField(auto_now_add=True)
    actor = models.CharField(max_length=200)
    action = models.CharField(max_length=60)
    subject = models.CharField(max_length=200, help_text="What it was done to, such as account:<id>.")
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    reason = models.TextField(help_text="Why, in the person's own words.")
    detail = models.JSONField(default=dict)
    address = models.CharField(max_length=60, help_text="Where the request came from.")
    request_id = models.CharField(max_length=60)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "audit entries"
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["subject", "id"], name="audit_subject_id"),
            models.Index(fields=["actor", "id"], name="audit_actor_id"),
            models.Index(fields=["action", "at", "id"], name="audit_action_at_id"),
            models.Index(fields=["at", "id"], name="audit_at_id"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.subject}"
