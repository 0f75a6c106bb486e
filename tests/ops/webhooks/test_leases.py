"""What a sender has claimed is its own until the lease runs out, and nobody else's business; afterwards it is not."""

from datetime import timedelta

import psycopg
from django.db.models import F

from ops.webhooks import queue
from ops.webhooks.models import Webhook, WebhookAttempt, WebhookDelivery, WebhookLane
from ops.webhooks.queue import Result
from tests.ops.webhooks.conftest import Configure, Delivered, Pending, make_due, message, send_due, states
from tests.ops.webhooks.receiver import Receiver

REFUSED, TAKEN = Result(0.1, status=500), Result(0.1, status=204)


def let_the_leases_run_out() -> None:
    WebhookLane.objects.update(due_at=F("due_at") - timedelta(hours=1))


def test_whoever_has_lost_a_lease_decides_nothing_for_the_one_who_has_it_now(webhook: Webhook) -> None:
    message(webhook)
    [lost] = queue.claim(8)
    let_the_leases_run_out()
    [held] = queue.claim(8)

    queue.settle(lost, TAKEN)
    queue.release([lost])

    assert states() == [Pending]
    assert queue.claim(8) == [], "it is leased to the second"
    queue.settle(held, TAKEN)
    assert states() == [Delivered]
    assert [t.status for t in WebhookAttempt.objects.order_by("number")] == [204, 204]


def test_what_is_given_back_is_due_at_once(webhook: Webhook) -> None:
    message(webhook)
    queue.release(queue.claim(8))
    [again] = queue.claim(8)
    assert again.delivery.attempts == 2


def test_claims_whose_lease_ran_out_take_up_no_room(webhook: Webhook, configure: Configure) -> None:
    configure(WEBHOOK_MAX_IN_FLIGHT="2")
    for number in range(2):
        message(webhook, sequence=number)
    assert len(queue.claim(8)) == 2
    let_the_leases_run_out()

    assert len(queue.claim(8)) == 2


def test_a_suspect_webhook_has_one_in_flight(webhook: Webhook) -> None:
    for number in range(3):
        message(webhook, sequence=number)
    Webhook.objects.update(failures_in_a_row=queue.SUSPECT_AFTER)

    assert len(queue.claim(8)) == 1
    assert queue.claim(8) == []


def test_a_lane_that_somebody_settles_at_this_moment_is_not_waited_for(
    webhook: Webhook, sweeper: psycopg.Connection
) -> None:
    message(webhook, sequence=1)
    free = message(webhook, sequence=2)
    with sweeper.transaction():
        sweeper.execute("SELECT FROM ops_webhooklane WHERE key <> %s FOR UPDATE", (free.key,))
        assert [claimed.delivery.pk for claimed in queue.claim(8)] == [free.pk]


def test_asked_for_again_while_it_is_under_way_it_is_not_sent_twice_at_once(webhook: Webhook) -> None:
    delivery = message(webhook)
    [under_way] = queue.claim(8)

    queue.send_again(delivery.pk)

    assert queue.claim(8) == []
    queue.settle(under_way, TAKEN)
    assert states() == [Delivered]


def test_asked_for_again_during_its_last_try_it_has_all_its_tries_before_it(
    webhook: Webhook, receiver: Receiver, configure: Configure
) -> None:
    configure(WEBHOOK_MAX_ATTEMPTS="1")
    delivery = message(webhook)
    [last] = queue.claim(8)

    queue.send_again(delivery.pk)
    queue.settle(last, REFUSED)

    assert states() == [Pending]
    make_due()
    send_due()
    assert states() == [Delivered]
    assert WebhookDelivery.objects.get().attempts == 1


def test_a_success_beside_a_failure_lets_the_webhook_go_on(webhook: Webhook, receiver: Receiver) -> None:
    for number in range(2):
        message(webhook, sequence=number)
    first, second = queue.claim(8)
    queue.settle(first, Result(0.1, status=503, retry_after=1800))
    webhook.refresh_from_db()
    assert webhook.not_before is not None

    queue.settle(second, TAKEN)

    webhook.refresh_from_db()
    assert (webhook.failures_in_a_row, webhook.not_before) == (0, None)


def test_however_many_failures_a_suspension_has_an_end() -> None:
    assert queue.suspension(queue.SUSPECT_AFTER) == 1
    assert queue.suspension(100_000) == queue.LONGEST_SUSPENSION
