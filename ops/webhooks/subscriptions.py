"""Making, pausing and ending webhooks. Each function is one transaction, or part of the caller's."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from ops.conf import get_settings
from ops.models import ApiClient, ApiKey
from ops.webhooks import addresses, signing
from ops.webhooks.models import Webhook

State = Webhook.State


class AlreadySubscribed(Exception):
    """The client has a webhook with this URL; `webhook` is the one."""

    def __init__(self, webhook: Webhook) -> None:
        super().__init__(f"There is a webhook with this URL: {webhook.id}.")
        self.webhook = webhook


class TooMany(Exception):
    """The client has as many webhooks as it may. The message says how many."""


def of_client(client: ApiClient) -> QuerySet[Webhook]:
    """The webhooks that a client sees: its own, without those it deleted."""
    return Webhook.objects.filter(client=client).exclude(state=State.DELETED)


def active_of_key(key: ApiKey) -> int:
    """How many webhooks that were made with this key are sent to. They go on when it is revoked."""
    return Webhook.objects.filter(made_with=key, state=State.ACTIVE).count()


def subscribe(
    *,
    client: ApiClient,
    url: str,
    event_types: Collection[str],
    starts_after: int,
    made_with: ApiKey | None = None,
) -> tuple[Webhook, str]:
    """A new webhook and its secret, which cannot be had again. Nothing up to position `starts_after` is sent to it.

    Raises:
        AddressRefused: the URL is not one that is sent to.
        AlreadySubscribed, TooMany: nothing was made.
    """
    addresses.parse(url)
    with transaction.atomic():
        ApiClient.objects.select_for_update(no_key=True).get(pk=client.pk)  # one at a time, for the count
        existing = of_client(client)
        if (same := existing.filter(url=url).first()) is not None:
            raise AlreadySubscribed(same)
        most = get_settings().webhook_max_per_client
        if existing.count() >= most:
            raise TooMany(f"A client has at most {most} webhooks: delete one first.")
        salt = signing.new_salt()
        webhook = Webhook.objects.create(
            client=client,
            made_with=made_with,
            url=url,
            event_types=sorted(set(event_types)),
            starts_after=starts_after,
            salt=salt,
        )
    return webhook, signing.secret_of(salt)


def unsubscribe(webhook_id: UUID) -> None:
    """Nothing more is sent to it, at once; only a request that is under way may still arrive. Its log goes later,
    by the cleanup."""
    Webhook.objects.filter(pk=webhook_id).update(state=State.DELETED)


def replace_secret(webhook_id: UUID) -> tuple[str, datetime]:
    """A new secret, and until when the one before signs beside it.

    So does the oldest one that still signs: a client whose answer was lost asks once more, and holds that one.

    Raises:
        Webhook.DoesNotExist: there is none of that id, or it was deleted.
    """
    now, salt = timezone.now(), signing.new_salt()
    until = now + timedelta(hours=get_settings().webhook_secret_overlap_hours)
    with transaction.atomic():
        webhook = _locked(webhook_id)
        still_signs = webhook.previous_until is not None and webhook.previous_until > now
        webhook.oldest_salt = (webhook.oldest_salt or webhook.previous_salt) if still_signs else None
        webhook.previous_salt, webhook.previous_until, webhook.salt = webhook.salt, until, salt
        webhook.save(update_fields=["oldest_salt", "previous_salt", "previous_until", "salt"])
    return signing.secret_of(salt), until


def pause(webhook_id: UUID, reason: str) -> bool:
    """Stops sending; what comes waits. False if it was not active. `reason` is shown to the client."""
    changed = Webhook.objects.filter(pk=webhook_id, state=State.ACTIVE).update(
        state=State.PAUSED, paused_reason=reason[:500], paused_at=timezone.now()
    )
    return changed == 1


def resume(webhook_id: UUID) -> Webhook:
    """Goes on sending, beginning with what waits; an active one is tried at once.

    Raises:
        Webhook.DoesNotExist: there is none of that id, or it was deleted.
    """
    with transaction.atomic():
        webhook = _locked(webhook_id)
        webhook.state, webhook.paused_reason, webhook.paused_at = State.ACTIVE, "", None
        webhook.failures_in_a_row, webhook.not_before = 0, None
        webhook.save(update_fields=["state", "paused_reason", "paused_at", "failures_in_a_row", "not_before"])
    return webhook


def current_secrets(webhook: Webhook, now: datetime) -> list[str]:
    """What signs now: the secret, and those before it while they still count.

    Raises:
        SecretLost: SECRET_KEY has changed since.
    """
    secrets = [signing.secret_of(bytes(webhook.salt))]
    if webhook.previous_until is not None and webhook.previous_until > now:
        for salt in (webhook.previous_salt, webhook.oldest_salt):
            secrets += _if_not_lost(bytes(salt)) if salt is not None else []
    return secrets


def _if_not_lost(salt: bytes) -> list[str]:
    try:
        return [signing.secret_of(salt)]
    except signing.SecretLost:
        return []


def _locked(webhook_id: UUID) -> Webhook:
    return Webhook.objects.select_for_update(no_key=True).exclude(state=State.DELETED).get(pk=webhook_id)
