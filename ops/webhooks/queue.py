"""What waits to be sent. Whoever sends claims the first message of a lane for WEBHOOK_LEASE seconds, sends it outside
of any transaction, and then settles; if it dies in between, the lane is due again when the lease has run out.

A claim locks the webhook, then lanes, and waits for neither; so that settling may wait for the webhook with a lane
locked, and whoever adds messages may wait for lanes (in one order).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from ops.conf import get_settings
from ops.models import ApiClient
from ops.webhooks.models import Webhook, WebhookAttempt, WebhookDelivery, WebhookLane
from ops.webhooks.sending import Result
from ops.webhooks.subscriptions import pause

Pending = WebhookDelivery.State.PENDING

FIRST_PAUSE, LONGEST_PAUSE = 10.0, 6 * 3600.0
"""Seconds before the second try of a delivery, doubled for each further one: 15 tries take 23 hours."""
SUSPECT_AFTER = 5
"""Failures in a row after which the whole webhook waits between tries, one at a time, until one succeeds."""
LONGEST_SUSPENSION = 300.0
"""Seconds; the first is one second, doubled for each further failure. A receiver that asks for a longer pause
(Retry-After) gets it, up to LONGEST_PAUSE."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is ours to send until the lease runs out."""

    webhook: Webhook
    delivery: WebhookDelivery
    lane_id: int
    lease: UUID
    attempt_id: int


def listeners() -> list[Webhook]:
    """The webhooks for which messages are made, with their clients: paused ones too, for which they wait."""
    states = (Webhook.State.ACTIVE, Webhook.State.PAUSED)
    return list(Webhook.objects.filter(state__in=states, client__is_active=True).select_related("client"))


def enqueue(deliveries: Sequence[WebhookDelivery]) -> None:
    """Adds messages, in the transaction of what they tell of. One that a webhook has already is not added again."""
    if not deliveries:
        return
    WebhookDelivery.objects.bulk_create(deliveries, batch_size=1000, ignore_conflicts=True)
    _wake_lanes({(delivery.webhook_id, delivery.key) for delivery in deliveries})


def send_again(delivery_id: UUID) -> None:
    """Makes a delivery due, delivered, failed or waiting, with all its tries before it."""
    with transaction.atomic():
        lane = WebhookDelivery.objects.values_list("webhook_id", "key").get(pk=delivery_id)
        _wake_lanes({lane}, now=True)
        WebhookDelivery.objects.filter(pk=delivery_id).update(state=Pending, attempts=0, delivered_at=None)


def _wake_lanes(lanes: set[tuple[UUID, UUID]], *, now: bool = False) -> None:
    """Makes the lanes that are not there. Those that are get locked, so that nobody finds them empty meanwhile and
    removes them; with `now` their pause is cut short, unless somebody is sending."""
    due_at = "CASE WHEN lane.lease IS NULL THEN now() ELSE lane.due_at END" if now else "lane.due_at"
    ordered = sorted(lanes)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO ops_webhooklane AS lane (webhook_id, key, due_at)
            SELECT webhook_id, key, now() FROM unnest(%s::uuid[], %s::uuid[]) AS new (webhook_id, key)
                ON CONFLICT (webhook_id, key) DO UPDATE SET due_at = {due_at}
            """,
            ([webhook_id for webhook_id, _ in ordered], [key for _, key in ordered]),
        )


# -- claiming


def claim(room: int) -> list[Claimed]:
    """At most `room` deliveries that are due, in short transactions, one for each webhook."""
    claimed: list[Claimed] = []
    for webhook_id in _webhooks_with_work():
        if len(claimed) >= room:
            break
        with transaction.atomic():
            claimed += _claim_of(webhook_id, room - len(claimed))
    return claimed


def _webhooks_with_work() -> list[UUID]:
    """In random order: with little room nobody shall always come first."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT w.id
              FROM ops_webhook w JOIN ops_apiclient c ON c.id = w.client_id
             WHERE w.state = 'active' AND c.is_active AND (w.not_before IS NULL OR w.not_before <= now())
               AND EXISTS (SELECT FROM ops_webhooklane l WHERE l.webhook_id = w.id AND l.due_at <= now())
             ORDER BY random()
            """
        )
        return [webhook_id for (webhook_id,) in cursor.fetchall()]


def _claim_of(webhook_id: UUID, room: int) -> list[Claimed]:
    """With the webhook locked, so that two senders together do not have more in flight than it may."""
    locked = Webhook.objects.select_for_update(skip_locked=True, no_key=True, of=("self",)).select_related("client")
    webhook = locked.filter(pk=webhook_id, state=Webhook.State.ACTIVE).first()
    if webhook is None:
        return []
    lanes = WebhookLane.objects.filter(webhook=webhook)
    in_flight = lanes.filter(lease__isnull=False, due_at__gt=Now()).count()
    most = 1 if webhook.failures_in_a_row >= SUSPECT_AFTER else get_settings().webhook_max_in_flight
    due = lanes.select_for_update(skip_locked=True).filter(due_at__lte=Now()).order_by("due_at")
    claims = [_claim_first(webhook, lane) for lane in due[: max(0, min(room, most - in_flight))]]
    return [claimed for claimed in claims if claimed is not None]


def _claim_first(webhook: Webhook, lane: WebhookLane) -> Claimed | None:
    delivery = _waiting(lane).first()
    if delivery is None:
        lane.delete()
        return None
    delivery.attempts += 1
    attempt = WebhookAttempt(delivery=delivery, number=delivery.attempts, started_at=Now())
    if delivery.needs_full_reach and webhook.client.reach != ApiClient.Reach.ALL:
        attempt.error, attempt.finished_at = "Not sent: the client may no longer see all accounts.", Now()
        delivery.state = WebhookDelivery.State.FAILED
        attempt.save()
        delivery.save(update_fields=["state", "attempts"])
        return None
    attempt.save()
    delivery.save(update_fields=["attempts"])
    lease = uuid7()
    lane_until = Now() + timedelta(seconds=get_settings().webhook_lease)
    WebhookLane.objects.filter(pk=lane.pk).update(lease=lease, due_at=lane_until)
    return Claimed(webhook, delivery, lane.pk, lease, attempt.pk)


# -- settling


def settle(claimed: Claimed, result: Result) -> None:
    """Records what came of a try and decides what is next: the lane's next message, or the same again later."""
    with transaction.atomic():
        lane = WebhookLane.objects.select_for_update().filter(pk=claimed.lane_id, lease=claimed.lease).first()
        WebhookAttempt.objects.filter(pk=claimed.attempt_id).update(
            finished_at=Now(),
            duration_ms=round(result.seconds * 1000),
            address=result.address,
            status=result.status,
            error=result.error[:500],
            answer=result.answer,
        )
        if lane is None:  # the lease ran out: the delivery is somebody else's by now
            return
        again_after = _settle_delivery(claimed.delivery, result)
        _release(lane, again_after)
        _note_outcome(claimed.webhook.pk, result)


def release(claims: Sequence[Claimed]) -> None:
    """Gives back what was claimed and cannot be waited for any longer: it is due at once, for whoever comes."""
    for claimed in claims:
        WebhookLane.objects.filter(pk=claimed.lane_id, lease=claimed.lease).update(lease=None, due_at=Now())


def _settle_delivery(delivery: WebhookDelivery, result: Result) -> float:
    """Returns after how many seconds the lane goes on."""
    mine = WebhookDelivery.objects.filter(pk=delivery.pk, state=Pending)
    attempts = mine.values_list("attempts", flat=True).first() or 0  # 0 where it was asked for again during this try
    if result.delivered:
        mine.update(state=WebhookDelivery.State.DELIVERED, delivered_at=Now())
    elif attempts >= get_settings().webhook_max_attempts:
        mine.update(state=WebhookDelivery.State.FAILED)
    else:
        again_after = pause_after(attempts) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        return max(again_after, _asked_for(result))
    return 0.0


def pause_after(attempts: int) -> float:
    """Seconds between try number `attempts` of a delivery and the next, before jitter."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (attempts - 1))


def _asked_for(result: Result) -> float:
    return min(LONGEST_PAUSE, result.retry_after)


def _release(lane: WebhookLane, seconds: float) -> None:
    """A message that comes in at this moment waits for our lock on the lane, and then finds it gone, or due."""
    if _waiting(lane).exists():
        WebhookLane.objects.filter(pk=lane.pk).update(lease=None, due_at=Now() + timedelta(seconds=seconds))
    else:
        lane.delete()


def _note_outcome(webhook_id: UUID, result: Result) -> None:
    webhooks = Webhook.objects.filter(pk=webhook_id)
    if result.delivered:
        webhooks.filter(failures_in_a_row__gt=0).update(failures_in_a_row=0, not_before=None)
        return
    failures = webhooks.select_for_update(no_key=True).values_list("failures_in_a_row", flat=True).get() + 1
    alone = max(suspension(failures) if failures >= SUSPECT_AFTER else 0.0, _asked_for(result))
    suspended = Now() + timedelta(seconds=alone) if alone else None
    webhooks.update(failures_in_a_row=failures, not_before=suspended)
    last = f"HTTP {result.status}" if result.status else result.error
    if result.gone:
        pause(webhook_id, "The receiver answered 410 Gone: it wants no more.")
    elif failures >= get_settings().webhook_pause_after:
        pause(webhook_id, f"{failures} tries failed in a row, the last with: {last}")


def suspension(failures: int) -> float:
    """Seconds for which a webhook is left alone after so many failures in a row."""
    return min(LONGEST_SUSPENSION, 2.0 ** min(failures - SUSPECT_AFTER, 20))


def _waiting(lane: WebhookLane) -> QuerySet[WebhookDelivery]:
    return WebhookDelivery.objects.filter(webhook_id=lane.webhook_id, key=lane.key, state=Pending).order_by(
        "sequence"
    )
