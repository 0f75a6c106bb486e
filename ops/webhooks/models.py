"""Webhooks, what waits to be sent to them, and what became of it."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from uuid_utils.compat import uuid7


class Webhook(models.Model):
    """A client's wish to be told. Its secret is not kept: see `signing`."""

    class State(models.TextChoices):
        ACTIVE = "active", "Active"
        PAUSED = "paused", "Paused"
        DELETED = "deleted", "Deleted"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    client = models.ForeignKey("ops.ApiClient", on_delete=models.PROTECT, related_name="webhooks")
    made_with = models.ForeignKey("ops.ApiKey", on_delete=models.PROTECT, null=True, related_name="webhooks")
    url = models.CharField(max_length=2000)
    event_types = ArrayField(models.CharField(max_length=60))
    starts_after = models.BigIntegerField(
        help_text="Position of the feed at its making: what came before is not sent."
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACTIVE)
    paused_reason = models.CharField(max_length=500, blank=True)
    paused_at = models.DateTimeField(null=True)
    failures_in_a_row = models.IntegerField(default=0)
    not_before = models.DateTimeField(null=True, help_text="Nothing is tried before: it failed too often in a row.")
    salt = models.BinaryField(max_length=40)
    previous_salt = models.BinaryField(max_length=40, null=True)
    oldest_salt = models.BinaryField(max_length=40, null=True)  # of the one before the first of several replacements
    previous_until = models.DateTimeField(null=True, help_text="Until then the previous secret signs too.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("manage_webhook", "Can pause and resume webhooks, and send deliveries again")]
        indexes = [models.Index(fields=["client", "id"], name="webhook_client_id")]
        constraints = [
            models.UniqueConstraint(
                fields=["client", "url"], condition=~models.Q(state="deleted"), name="webhook_client_url"
            )
        ]

    def __str__(self) -> str:
        return self.url


class WebhookLane(models.Model):
    """The messages of one webhook with one key that wait, to be sent one after another. Gone when none waits.

    Who sends its first message holds a lease: until `due_at` the lane is nobody else's.
    """

    webhook = models.ForeignKey(Webhook, on_delete=models.PROTECT, related_name="lanes")
    key = models.UUIDField()
    due_at = models.DateTimeField()
    lease = models.UUIDField(null=True)

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["webhook", "due_at"], name="webhooklane_due")]
        constraints = [models.UniqueConstraint(fields=["webhook", "key"], name="webhooklane_key")]


class WebhookDelivery(models.Model):
    """One message to one webhook. `body` is what is signed and sent, byte for byte, however often."""

    class State(models.TextChoices):
        PENDING = "pending", "Pending"
        DELIVERED = "delivered", "Delivered"
        FAILED = "failed", "Failed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    webhook = models.ForeignKey(Webhook, on_delete=models.PROTECT, related_name="deliveries")
    event_id = models.UUIDField()
    event_type = models.CharField(max_length=60)
    key = models.UUIDField(help_text="What it is about, such as an account: one lane.")
    sequence = models.BigIntegerField(help_text="Its place within the lane.")
    body = models.TextField()
    needs_full_reach = models.BooleanField(help_text="About something that is not in the client's own care.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    attempts = models.IntegerField(default=0, help_text="Since it was made, or last asked for again.")
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        verbose_name_plural = "webhook deliveries"
        indexes = [
            models.Index(fields=["webhook", "id"], name="webhookdelivery_webhook_id"),
            models.Index(fields=["webhook", "state", "id"], name="webhookdelivery_of_state"),
            models.Index(fields=["state", "id"], name="webhookdelivery_state_id"),
            models.Index(fields=["created_at"], name="webhookdelivery_created_at"),
            models.Index(
                fields=["webhook", "key", "sequence"],
                condition=models.Q(state="pending"),
                name="webhookdelivery_waiting",
            ),
        ]
        constraints = [models.UniqueConstraint(fields=["webhook", "event_id"], name="webhookdelivery_event")]

    def __str__(self) -> str:
        return f"{self.event_type} {self.event_id}"


class WebhookAttempt(models.Model):
    """One try. Without `finished_at` it is under way, or its sender died: whether it arrived is not known."""

    delivery = models.ForeignKey(WebhookDelivery, on_delete=models.CASCADE, related_name="tries")
    number = models.IntegerField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    duration_ms = models.IntegerField(null=True)
    address = models.CharField(max_length=45, blank=True, help_text="The IP address that it was sent to.")
    status = models.IntegerField(null=True, help_text="HTTP status of the answer.")
    error = models.CharField(max_length=500, blank=True)
    answer = models.TextField(blank=True, help_text="The first bytes of the answer's body.")

    class Meta:
        ordering = ["id"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.number}: {self.status or self.error or 'no answer'}"
