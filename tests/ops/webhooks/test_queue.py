"""What waits is sent in order, retried, given up, paused and kept, by any number of senders."""

import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connections
from django.db.models import F
from django.utils import timezone

from ops.conf import get_settings
from ops.models import ApiClient
from ops.webhooks import queue, retention, subscriptions
from ops.webhooks.models import Webhook, WebhookAttempt, WebhookDelivery, WebhookLane
from ops.webhooks.worker import Sender
from tests.ops.webhooks.conftest import Configure, a_webhook, message
from tests.ops.webhooks.receiver import Receiver, close_early, status
from tests.threads import together

Delivered, Failed, Pending = "delivered", "failed", "pending"


def send_due() -> int:
    return Sender(8).run_until_idle()


def make_due() -> None:
    """The time until the next tries has passed."""
    WebhookLane.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    Webhook.objects.update(not_before=None)


def states() -> list[str]:
    return list(WebhookDelivery.objects.order_by("sequence", "id").values_list("state", flat=True))


def test_a_message_is_sent_once_and_logged(webhook: Webhook, receiver: Receiver) -> None:
    receiver.always = status(200, b"thank you")
    delivery = message(webhook)

    assert send_due() == 1
    assert send_due() == 0

    [got] = receiver.received
    assert got.headers["Bankes-Event-Id"] == str(delivery.event_id)
    assert got.headers["Bankes-Delivery-Id"] == str(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == (Delivered, 1)
    assert delivery.delivered_at is not None
    [attempt] = delivery.tries.all()
    assert (attempt.number, attempt.status, attempt.error, attempt.answer) == (1, 200, "", "thank you")
    assert attempt.address == "127.0.0.1"
    assert attempt.finished_at is not None
    assert attempt.duration_ms is not None
    assert not WebhookLane.objects.exists()


def test_the_same_event_is_not_added_twice(webhook: Webhook, receiver: Receiver) -> None:
    first = message(webhook)
    message(webhook, event_id=first.event_id, key=first.key)
    send_due()
    message(webhook, event_id=first.event_id, key=first.key)
    send_due()
    assert len(receiver.received) == 1
    assert WebhookDelivery.objects.count() == 1


def test_within_a_lane_the_next_waits_for_the_one_before(webhook: Webhook, receiver: Receiver) -> None:
    key = uuid4()
    for sequence in (1, 2, 3):
        message(webhook, key=key, sequence=sequence)
    receiver.answers = [status(204), status(500)]

    send_due()
    assert [got.message["n"] for got in receiver.received] == [1, 2]
    assert states() == [Delivered, Pending, Pending]
    send_due()
    assert len(receiver.received) == 2, "the pause after a failure is kept"

    make_due()
    send_due()
    assert [got.message["n"] for got in receiver.received] == [1, 2, 2, 3]
    assert states() == [Delivered] * 3


def test_other_lanes_do_not_wait_for_one_that_fails(webhook: Webhook, receiver: Receiver) -> None:
    receiver.answers = [status(500)]
    message(webhook, sequence=1)
    send_due()
    message(webhook, sequence=2)
    send_due()
    assert states() == [Pending, Delivered]


def test_after_the_last_try_it_has_failed_and_the_lane_goes_on(
    webhook: Webhook, receiver: Receiver, configure: Configure
) -> None:
    configure(WEBHOOK_MAX_ATTEMPTS="3")
    key = uuid4()
    message(webhook, key=key, sequence=1)
    message(webhook, key=key, sequence=2)
    receiver.answers = [status(500), close_early, status(404, b"no")]

    for _ in range(4):
        make_due()
        send_due()

    assert states() == [Failed, Delivered]
    tries = WebhookAttempt.objects.filter(delivery__sequence=1).order_by("number")
    assert [(t.number, t.status, t.answer) for t in tries] == [(1, 500, ""), (2, None, ""), (3, 404, "no")]
    assert "closed the connection" in tries[1].error


def test_the_tries_of_a_delivery_take_about_a_day(configure: Configure) -> None:
    configure()
    pauses = [queue.pause_after(number) for number in range(1, get_settings().webhook_max_attempts)]
    assert pauses == sorted(pauses)
    assert pauses[0] == 10
    assert 20 < sum(pauses) / 3600 < 28


def test_a_pause_has_jitter(webhook: Webhook, receiver: Receiver) -> None:
    receiver.always = status(500)
    for number in range(4):
        message(webhook, sequence=number)
    before = timezone.now()
    send_due()
    pauses = [(lane.due_at - before).total_seconds() for lane in WebhookLane.objects.all()]
    assert len(pauses) == 4
    assert all(7.9 < pause < 14 for pause in pauses)
    assert len({round(pause, 2) for pause in pauses}) > 1


def test_a_failed_one_can_be_asked_for_again_and_has_all_its_tries(
    webhook: Webhook, receiver: Receiver, configure: Configure
) -> None:
    configure(WEBHOOK_MAX_ATTEMPTS="1")
    receiver.answers = [status(500), status(500)]
    delivery = message(webhook)
    send_due()
    assert states() == [Failed]

    queue.send_again(delivery.pk)
    configure(WEBHOOK_MAX_ATTEMPTS="2")
    send_due()
    assert states() == [Pending]
    make_due()
    send_due()

    assert states() == [Delivered]
    assert len({got.body for got in receiver.received}) == 1
    assert delivery.tries.count() == 3


def test_a_delivered_one_can_be_asked_for_again_and_goes_before_those_that_wait(
    webhook: Webhook, receiver: Receiver
) -> None:
    key = uuid4()
    first = message(webhook, key=key, sequence=1)
    send_due()
    receiver.answers = [status(500)]
    message(webhook, key=key, sequence=2)
    send_due()

    queue.send_again(first.pk)
    send_due()

    assert [got.message["n"] for got in receiver.received] == [1, 2, 1, 2]


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


def test_no_webhook_has_more_in_flight_than_it_may_whoever_sends(
    webhook: Webhook, receiver: Receiver, configure: Configure
) -> None:
    configure(WEBHOOK_MAX_IN_FLIGHT="3")
    receiver.always = status(204, after=0.05)
    for number in range(40):
        message(webhook, sequence=number)

    def send() -> int:
        return Sender(8).run_until_idle()

    made = together([send, send, send])

    while not all(state == Delivered for state in states()):
        made.append(send_due())
    assert sum(made) == 40, "each was sent once"
    assert len(receiver.received) == 40
    assert receiver.most_under_way == 3


def test_senders_and_whoever_adds_messages_do_not_lose_any(webhook: Webhook, receiver: Receiver) -> None:
    """Messages come in while lanes are being emptied: each is sent once, in order."""
    keys = [uuid4() for _ in range(4)]

    def add() -> int:
        for sequence in range(30):
            for key in keys:
                message(webhook, key=key, sequence=sequence)
        return 0

    def send() -> int:
        total = 0
        while WebhookDelivery.objects.filter(state=Delivered).count() < 120:
            total += Sender(4).run_until_idle()
        return total

    assert sum(together([add, send, send])) == 120
    assert not WebhookLane.objects.exists()
    for key in keys:
        ids = {str(pk) for pk in WebhookDelivery.objects.filter(key=key).values_list("pk", flat=True)}
        order = [got.message["n"] for got in receiver.received if got.headers["Bankes-Delivery-Id"] in ids]
        assert order == list(range(30))


def test_a_message_that_comes_as_its_lane_is_emptied_is_not_lost(
    webhook: Webhook, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = uuid4()
    message(webhook, key=key, sequence=1)
    [claimed] = queue.claim(1)

    def add() -> None:
        message(webhook, key=key, sequence=2)
        connections.close_all()

    adding = threading.Thread(target=add)
    delete = WebhookLane.delete

    def slowly(lane: WebhookLane) -> None:
        adding.start()
        adding.join(0.5)
        delete(lane)

    with monkeypatch.context() as patch:
        patch.setattr(WebhookLane, "delete", slowly)
        queue.settle(claimed, queue.Result(0.1, status=204))
    adding.join()

    assert states() == [Delivered, Pending]
    assert WebhookLane.objects.count() == 1


def test_a_lease_that_ran_out_leaves_the_delivery_to_the_next(webhook: Webhook, receiver: Receiver) -> None:
    message(webhook)
    [lost] = queue.claim(8)
    assert queue.claim(8) == [], "it is leased"
    WebhookLane.objects.update(due_at=F("due_at") - timedelta(hours=1))

    send_due()
    queue.settle(lost, queue.Result(1.0, status=500))

    assert states() == [Delivered]
    assert len(receiver.received) == 1
    assert [t.status for t in WebhookAttempt.objects.order_by("number")] == [500, 204]


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
