"""What waits is sent in order, retried and given up, by any number of senders."""

import threading
from datetime import timedelta
from unittest.mock import Mock
from uuid import uuid4

import pytest
from django.db import connections
from django.db.models import F
from django.utils import timezone

from ops.conf import get_settings
from ops.webhooks import queue, sending
from ops.webhooks.models import Webhook, WebhookAttempt, WebhookDelivery, WebhookLane
from ops.webhooks.worker import Sender
from tests.ops.webhooks.conftest import (
    Configure,
    Delivered,
    Failed,
    Pending,
    make_due,
    message,
    send_due,
    states,
)
from tests.ops.webhooks.receiver import Receiver, close_early, status
from tests.threads import together


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


def test_a_try_that_fails_by_a_mistake_of_ours_counts_like_any_other(
    webhook: Webhook, receiver: Receiver, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(WEBHOOK_MAX_ATTEMPTS="2")
    monkeypatch.setattr(sending, "_first_bytes", Mock(side_effect=RuntimeError("a\0 mistake")))
    message(webhook)

    for _ in range(2):
        make_due()
        send_due()

    assert states() == [Failed]
    assert [t.error for t in WebhookAttempt.objects.all()] == ["RuntimeError: a mistake"] * 2


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
