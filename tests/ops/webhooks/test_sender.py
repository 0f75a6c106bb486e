"""The sender keeps to its number of threads, outlives the database, and gives back what it cannot wait for."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connections

from ops.webhooks import queue, worker
from ops.webhooks.models import Webhook
from ops.webhooks.worker import Sender
from tests.ops.webhooks.conftest import Configure, Delivered, Pending, message, states
from tests.ops.webhooks.receiver import Receiver, status
from tests.processes import wait_until


@contextmanager
def sending(threads: int) -> Iterator[threading.Event]:
    """A sender at work until the event is set, or the block left."""
    stop = threading.Event()

    def run() -> None:
        try:
            Sender(threads).run(stop)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def test_no_more_requests_are_under_way_than_it_has_threads(
    webhook: Webhook, receiver: Receiver, configure: Configure
) -> None:
    configure(WEBHOOK_MAX_IN_FLIGHT="10")
    receiver.always = status(204, after=0.1)
    for number in range(8):
        message(webhook, sequence=number)

    with sending(threads=2):
        receiver.wait_for(8)

    assert receiver.most_under_way == 2


def test_what_the_database_refuses_for_a_while_is_sent_afterwards(
    webhook: Webhook, receiver: Receiver, sweeper: psycopg.Connection
) -> None:
    with sending(threads=2):
        sweeper.execute("ALTER TABLE ops_webhooklane RENAME TO gone")
        try:
            time.sleep(1)
        finally:
            sweeper.execute("ALTER TABLE gone RENAME TO ops_webhooklane")
        message(webhook)
        receiver.wait_for(1)
        wait_until(lambda: states() == [Delivered], 5)


def test_what_it_cannot_wait_for_it_gives_back(
    webhook: Webhook, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "STOP_WITHIN", 0.2)
    receiver.always = status(204, after=3)
    message(webhook)
    with sending(threads=2):
        receiver.wait_for(1)

    assert states() == [Pending]
    assert len(queue.claim(8)) == 1, "it is due at once"
