"""Removing deliveries that are old enough, sent or not, and webhooks that were deleted and have none left."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from ops.conf import get_settings
from ops.webhooks.models import Webhook, WebhookAttempt, WebhookDelivery, WebhookLane


def prune(limit: int) -> int:
    """Removes at most `limit` deliveries past WEBHOOK_RETENTION_DAYS with their tries; returns how many."""
    with transaction.atomic():
        old = WebhookDelivery.objects.select_for_update(skip_locked=True).filter(created_at__lt=_before())
        ids = list(old.order_by("created_at").values_list("pk", flat=True)[:limit])
        WebhookAttempt.objects.filter(delivery__in=ids).delete()
        WebhookDelivery.objects.filter(pk__in=ids).delete()
    if len(ids) < limit:
        _remove_deleted_webhooks()
    return len(ids)


def expired(limit: int) -> int:
    """How many `prune` would remove, counted up to `limit`."""
    return WebhookDelivery.objects.filter(created_at__lt=_before())[:limit].count()


def _before() -> datetime:
    return timezone.now() - timedelta(days=get_settings().webhook_retention_days)


def _remove_deleted_webhooks() -> None:
    left = WebhookDelivery.objects.filter(webhook=OuterRef("pk"))
    gone = list(Webhook.objects.filter(~Exists(left), state=Webhook.State.DELETED).values_list("pk", flat=True)[:100])
    with transaction.atomic():
        WebhookLane.objects.filter(webhook__in=gone).delete()
        Webhook.objects.filter(pk__in=gone).delete()
