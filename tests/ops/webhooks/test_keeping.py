"""Webhooks are paused, resumed, cut off and limited; deliveries are kept for a while."""

from datetime import timedelta
from functools import partial

import psycopg
import pytest
from django.core.management import call_command
from django.db.models import F
from django.utils import timezone

from ops.conf import get_settings
from ops.models import ApiClient
from ops.webhooks import queue, retention, subscriptions
from ops.webhooks.models import Webhook, WebhookAttempt, WebhookDelivery, WebhookLane
from tests.ops.webhooks.conftest import (
    Configure,
    Delivered,
    Failed,
    a_webhook,
    make_due,
    message,
    send_due,
    states,
)
from tests.ops.webhooks.receiver import Receiver, status
from tests.threads import together


def test_many_failures_in_a_row_make_the_webhook_wait_and_then_pause_it(
    webhook: Webhook, receiver: Receiver, configure: Configure
) -> None:
    configure(WEBHOOK_PAUSE_AFTER="8")
    receiver.always = status(503)
    for number in range(20):
        message(webhook, sequence=number)

    send_due()
    webhook.refresh_from_db()
    suspect = len(receiver.received)
    assert queue.SUSPECT_AFTER <= suspect < queue.SUSPECT_AFTER + get_settings().webhook_max_in_flight
    assert webhook.not_before is not None
    assert webhook.not_before > timezone.now()

    while webhook.state == "active":
        before = len(receiver.received)
        make_due()
        send_due()
        webhook.refresh_from_db()
        assert len(receiver.received) == before + 1, "one at a time while it is suspect"
    assert webhook.paused_reason.startswith("8 tries failed in a row, the last with: HTTP 503")

    receiver.always = status(204)
    make_due()
    assert send_due() == 0
    subscriptions.resume(webhook.pk)
    send_due()
    assert states() == [Delivered] * 20


def test_a_success_clears_the_failures_before_it(webhook: Webhook, receiver: Receiver) -> None:
    receiver.answers = [status(500)] * 3
    for number in range(3):
        message(webhook, sequence=number)
    send_due()
    webhook.refresh_from_db()
    assert webhook.failures_in_a_row == 3

    message(webhook, sequence=4)
    send_due()
    webhook.refresh_from_db()
    assert (webhook.failures_in_a_row, webhook.not_before, webhook.state) == (0, None, "active")


@pytest.mark.parametrize("code", [429, 503])
def test_a_receiver_that_asks_to_be_left_alone_is_left_alone_for_so_long(
    webhook: Webhook, receiver: Receiver, code: int
) -> None:
    receiver.answers = [status(code, headers={"Retry-After": "1800"})]
    message(webhook)
    before = timezone.now()
    send_due()
    message(webhook, sequence=2)
    assert send_due() == 0, "another lane's message went to a receiver that had asked for a pause"

    webhook.refresh_from_db()
    lane = WebhookLane.objects.latest("due_at")
    for moment in (webhook.not_before, lane.due_at):
        assert moment is not None
        assert timedelta(seconds=1799) < moment - before < timedelta(seconds=1810)
    assert webhook.state == "active"

    make_due()
    send_due()
    assert states() == [Delivered, Delivered]


def test_a_receiver_that_asks_for_a_shorter_pause_than_ours_or_for_ages_gets_ours_or_our_longest(
    webhook: Webhook, receiver: Receiver
) -> None:
    pauses = []
    for asked in ("1", "99999999999999"):
        receiver.answers = [status(503, headers={"Retry-After": asked})]
        message(webhook)
        before = timezone.now()
        make_due()
        send_due()
        pauses.append((WebhookLane.objects.latest("due_at").due_at - before).total_seconds())
        make_due()
        send_due()
    assert 7.9 < pauses[0] < 14
    assert queue.LONGEST_PAUSE - 1 < pauses[1] < queue.LONGEST_PAUSE + 10


def test_410_pauses_at_once_and_loses_nothing(webhook: Webhook, receiver: Receiver) -> None:
    receiver.answers = [status(410)]
    message(webhook)
    send_due()
    webhook.refresh_from_db()
    assert (webhook.state, webhook.paused_reason) == (
        "paused",
        "The receiver answered 410 Gone: it wants no more.",
    )
    message(webhook, sequence=2)
    make_due()
    assert send_due() == 0

    subscriptions.resume(webhook.pk)
    make_due()
    send_due()
    assert states() == [Delivered, Delivered]


def test_what_was_deleted_during_a_try_stays_so_whatever_comes_of_it(webhook: Webhook) -> None:
    message(webhook)
    [claimed] = queue.claim(8)
    subscriptions.unsubscribe(webhook.pk)

    queue.settle(claimed, queue.Result(0.1, status=410))

    webhook.refresh_from_db()
    assert (webhook.state, webhook.paused_reason) == ("deleted", "")


def test_what_is_deleted_or_belongs_to_an_inactive_client_gets_nothing(
    webhook: Webhook, receiver: Receiver, port: int
) -> None:
    deleted = a_webhook(port, path="/deleted")
    message(webhook)
    message(deleted)
    subscriptions.unsubscribe(deleted.pk)
    ApiClient.objects.update(is_active=False)
    assert send_due() == 0
    ApiClient.objects.update(is_active=True)
    assert send_due() == 1
    assert [got.path for got in receiver.received] == ["/hook"]


def test_a_client_whose_reach_has_narrowed_gets_no_more_of_what_is_not_its_own(
    webhook: Webhook, receiver: Receiver
) -> None:
    ApiClient.objects.update(reach=ApiClient.Reach.ALL)
    message(webhook, sequence=1, needs_full_reach=True)
    ApiClient.objects.update(reach=ApiClient.Reach.OWN)
    message(webhook, sequence=2)

    send_due()

    assert states() == [Failed, Delivered]
    assert [got.message["n"] for got in receiver.received] == [2]


def test_old_deliveries_are_removed_whatever_became_of_them(webhook: Webhook, receiver: Receiver, port: int) -> None:
    deleted = a_webhook(port, path="/deleted")
    for of in (webhook, deleted):
        message(of)
    subscriptions.unsubscribe(deleted.pk)
    send_due()
    message(webhook, sequence=2)
    WebhookDelivery.objects.update(created_at=F("created_at") - timedelta(days=31))
    recent = message(webhook, sequence=3)

    assert [retention.prune(limit=2), retention.prune(limit=2)] == [2, 1]
    assert retention.prune(limit=2) == 0

    assert list(WebhookDelivery.objects.values_list("pk", flat=True)) == [recent.pk]
    assert WebhookAttempt.objects.count() == 0
    assert list(Webhook.objects.values_list("pk", flat=True)) == [webhook.pk]
    send_due()
    assert states() == [Delivered]
    assert not WebhookLane.objects.exists()


def test_a_deleted_webhook_stays_as_long_as_its_log(webhook: Webhook) -> None:
    delivery = message(webhook)
    subscriptions.unsubscribe(webhook.pk)
    assert retention.prune(limit=2) == 0
    assert Webhook.objects.exists()

    WebhookDelivery.objects.filter(pk=delivery.pk).update(created_at=F("created_at") - timedelta(days=31))
    assert retention.prune(limit=2) == 1
    assert not Webhook.objects.exists()


def test_an_old_delivery_that_somebody_settles_at_this_moment_is_left_for_the_next_cleanup(
    webhook: Webhook, sweeper: psycopg.Connection
) -> None:
    busy, other = message(webhook, sequence=1), message(webhook, sequence=2)
    WebhookDelivery.objects.update(created_at=F("created_at") - timedelta(days=31))
    with sweeper.transaction():
        sweeper.execute("SELECT FROM ops_webhookdelivery WHERE id = %s FOR UPDATE", (busy.pk,))
        assert retention.prune(limit=2) == 1
    assert not WebhookDelivery.objects.filter(pk=other.pk).exists()
    assert retention.prune(limit=2) == 1


def test_resumed_it_is_tried_at_once_however_long_it_was_to_wait(webhook: Webhook, receiver: Receiver) -> None:
    receiver.answers = [status(503, headers={"Retry-After": "1800"})]
    message(webhook)
    send_due()
    subscriptions.resume(webhook.pk)

    message(webhook, sequence=2)

    assert send_due() == 1
    assert [got.message["n"] for got in receiver.received] == [1, 2]


def test_what_was_deleted_is_not_resumed_nor_given_a_secret(webhook: Webhook) -> None:
    subscriptions.unsubscribe(webhook.pk)
    for change in (subscriptions.resume, subscriptions.replace_secret):
        with pytest.raises(Webhook.DoesNotExist):
            change(webhook.pk)
    assert Webhook.objects.get().state == "deleted"


def test_the_cleanup_removes_old_deliveries(webhook: Webhook, capsys: pytest.CaptureFixture[str]) -> None:
    message(webhook)
    WebhookDelivery.objects.update(created_at=F("created_at") - timedelta(days=31))
    call_command("cleanup")
    assert "1 webhook deliveries" in capsys.readouterr().out
    assert not WebhookDelivery.objects.exists()


def test_a_secret_that_is_lost_pauses_the_webhook_and_sends_nothing_unsigned(
    webhook: Webhook, receiver: Receiver, configure: Configure
) -> None:
    message(webhook)
    configure(SECRET_KEY="another-secret-key-of-at-least-thirty-two-characters")
    send_due()
    webhook.refresh_from_db()
    assert webhook.state == "paused"
    assert "SECRET_KEY has changed" in webhook.paused_reason
    assert receiver.received == []


@pytest.mark.parametrize("limit", ["1", "2"])
def test_a_client_has_no_more_webhooks_than_it_may(db: None, port: int, configure: Configure, limit: str) -> None:
    configure(WEBHOOK_MAX_PER_CLIENT=limit)
    for number in range(int(limit)):
        a_webhook(port, path=f"/{number}")
    with pytest.raises(subscriptions.TooMany, match=f"at most {limit} webhooks"):
        a_webhook(port, path="/more")
    a_webhook(port, client="other", path="/more")


def test_made_at_the_same_moment_there_are_no_more_either(db: None, port: int, configure: Configure) -> None:
    configure(WEBHOOK_MAX_PER_CLIENT="2")
    ApiClient.objects.create(name="acme")

    def make(number: int) -> bool:
        try:
            a_webhook(port, path=f"/{number}")
        except subscriptions.TooMany:
            return False
        return True

    assert sum(together([partial(make, number) for number in range(8)])) == 2
    assert Webhook.objects.count() == 2
