"""`manage.py deliver_webhooks` as a process: it survives its own death and everybody else's."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from ops.webhooks.models import Webhook, WebhookAttempt, WebhookDelivery, WebhookLane
from tests.ops.webhooks.conftest import message
from tests.ops.webhooks.receiver import Receiver, status
from tests.processes import wait_until

Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    processes: list[subprocess.Popen[bytes]] = []

    def start_one() -> subprocess.Popen[bytes]:
        processes.append(subprocess.Popen([sys.executable, "manage.py", "deliver_webhooks"], env=os.environ.copy()))
        return processes[-1]

    yield start_one
    for process in processes:
        process.kill()
        process.wait()


def all_delivered() -> bool:
    return not WebhookDelivery.objects.exclude(state="delivered").exists()


def test_it_sends_what_comes_and_ends_cleanly_on_sigterm(webhook: Webhook, receiver: Receiver, start: Start) -> None:
    process = start()
    key = uuid4()
    for sequence in range(10):
        message(webhook, key=key, sequence=sequence)
    wait_until(all_delivered, 20)

    process.send_signal(signal.SIGTERM)

    assert process.wait(5) == 0
    assert [got.message["n"] for got in receiver.received] == list(range(10))


def test_a_request_under_way_is_finished_before_it_ends(webhook: Webhook, receiver: Receiver, start: Start) -> None:
    receiver.always = status(204, after=0.7)
    process = start()
    message(webhook)
    receiver.wait_for(1)

    process.send_signal(signal.SIGTERM)

    assert process.wait(5) == 0
    assert all_delivered()
    assert len(receiver.received) == 1


def test_killed_in_the_middle_of_a_delivery_it_is_delivered_by_the_next(
    webhook: Webhook, receiver: Receiver, start: Start
) -> None:
    receiver.answers = [status(204, after=5)]
    first = start()
    delivery = message(webhook)
    message(webhook, key=delivery.key, sequence=2)
    receiver.wait_for(1)
    first.kill()
    first.wait()
    assert WebhookDelivery.objects.get(pk=delivery.pk).state == "pending"

    start()
    wait_until(all_delivered, 20)

    assert [got.message["n"] for got in receiver.received] == [1, 1, 2]
    lost, sent = WebhookAttempt.objects.filter(delivery=delivery).order_by("number")
    assert (lost.finished_at, lost.status) == (None, None)
    assert (sent.number, sent.status) == (2, 204)
    assert not WebhookLane.objects.exists()


def test_killed_again_and_again_nothing_is_lost(webhook: Webhook, receiver: Receiver, start: Start) -> None:
    """Two senders, of which one is killed every now and then while 200 messages go out in 10 lanes."""
    receiver.always = status(204, after=0.01)
    lanes = [uuid4() for _ in range(10)]
    start()
    for sequence in range(20):
        for key in lanes:
            message(webhook, key=key, sequence=sequence)
    for _ in range(4):
        victim = start()
        enough = min(200, len(receiver.received) + 20)
        receiver.wait_for(enough)
        victim.kill()
        victim.wait()
    wait_until(all_delivered, 40)

    ids = [got.headers["Bankes-Event-Id"] for got in receiver.received]
    assert len(set(ids)) == 200
    assert len(ids) < 250, "sent twice only where a sender died"
    lane_of = {str(pk): str(key) for pk, key in WebhookDelivery.objects.values_list("event_id", "key")}
    for key in lanes:
        firsts = list(
            dict.fromkeys(
                got.message["n"] for got in receiver.received if lane_of[got.headers["Bankes-Event-Id"]] == str(key)
            )
        )
        assert firsts == list(range(20))


def test_once_sends_what_is_due_and_ends(
    webhook: Webhook, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    message(webhook)
    call_command("deliver_webhooks", "--once")
    assert "1 tries made" in capsys.readouterr().out
    assert all_delivered()


def test_a_number_of_threads_that_cannot_be_is_refused() -> None:
    with pytest.raises(CommandError, match="between 1 and 200"):
        call_command("deliver_webhooks", "--threads", "0")
