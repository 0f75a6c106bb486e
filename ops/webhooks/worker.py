"""The sender: claims what is due, sends it from a few threads, and settles. Several may run at once, anywhere."""

import threading
import time
from contextlib import AbstractContextManager
from typing import Protocol

import structlog
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection
from django.utils import timezone

from ops.conf import get_settings
from ops.operations import Operation, operation, step
from ops.webhooks import queue, sending, signing, subscriptions
from ops.webhooks.queue import Claimed
from ops.webhooks.sending import Result

log = structlog.get_logger(__name__)

STOP_WITHIN = 8.0
"""Seconds that requests under way get to finish after the order to stop; then they are left to the next sender."""
USER_AGENT = "bankes-webhooks/1"


class Stop(Protocol):
    """The order to stop: a `threading.Event` or an `ops.service.StopRequest`."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool: ...


class Sender:
    """At most `threads` requests at once. One thread each: a receiver that hangs holds up no other while some are
    left, and no webhook may have more than WEBHOOK_MAX_IN_FLIGHT of them."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._under_way: dict[int, Claimed] = {}
        self._lock = threading.Lock()
        self._finished = threading.Event()

    def run(self, stop: Stop) -> None:
        """Sends until told to stop; what is under way then is finished, or given back."""
        pause = get_settings().webhook_poll_ms / 1000
        failures = 0
        while not stop.is_set():
            self._finished.clear()
            try:
                started = self.step()
                failures = 0
            except DatabaseError as error:
                connection.close()  # it may be broken; the pool gives a sound one
                failures += 1
                log.warning("webhooks_wait_for_database", error=repr(error), failures=failures)
                stop.wait(min(5.0, 0.2 * 2.0**failures))
                continue
            if not started:
                self._finished.wait(pause)  # a lane goes on as soon as its message is settled
        self._end()

    def run_until_idle(self) -> int:
        """Sends what is due now and what becomes due by that; returns how many tries that were."""
        total = 0
        while True:
            self._finished.clear()
            busy = self._count()
            started = self.step()
            total += started
            if not started and not busy:
                return total
            self._finished.wait(0.2)

    def step(self) -> int:
        """Starts what is due and what there is room for; returns how many."""
        room = self._threads - self._count()
        claims = queue.claim(room) if room > 0 else []
        for claimed in claims:
            with self._lock:
                self._under_way[claimed.attempt_id] = claimed
            threading.Thread(target=self._deliver, args=(claimed,), name="webhook", daemon=True).start()
        return len(claims)

    def _count(self) -> int:
        with self._lock:
            return len(self._under_way)

    def _deliver(self, claimed: Claimed) -> None:
        try:
            with _in_hand(claimed):
                step("sending")
                result = deliver(claimed)
                step("settling")
                queue.settle(claimed, result)
        except DatabaseError as error:  # not on record: the lease runs out, and it is sent again
            log.warning("webhook_not_settled", delivery=str(claimed.delivery.pk), error=repr(error))
        finally:
            connection.close()
            with self._lock:
                self._under_way.pop(claimed.attempt_id, None)
            self._finished.set()

    def _end(self) -> None:
        deadline = time.monotonic() + STOP_WITHIN
        while self._count() and time.monotonic() < deadline:
            self._finished.wait(0.1)
            self._finished.clear()
        with self._lock:
            left = list(self._under_way.values())
        queue.release(left)
        close_old_connections()
        log.info("webhooks_stopped", given_back=len(left))


def _in_hand(claimed: Claimed) -> AbstractContextManager[Operation]:
    """The try as a registered operation: after the lease another sender may make it again."""
    delivery, webhook = claimed.delivery, claimed.webhook
    return operation(
        "webhook",
        delivery.event_type,
        timeout=get_settings().webhook_lease,
        resources=(f"delivery {delivery.pk}", f"webhook {webhook.pk}"),
        actor="system:webhooks",
    )


def deliver(claimed: Claimed) -> Result:
    """Signs and sends; outside of any transaction, since it takes as long as the receiver likes."""
    delivery, webhook = claimed.delivery, claimed.webhook
    now = timezone.now()
    try:
        secrets = subscriptions.current_secrets(webhook, now)
    except signing.SecretLost as error:
        subscriptions.pause(webhook.pk, f"{error}.")
        return Result(0.0, error=f"Not sent: {error}.")
    body = delivery.body.encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "Bankes-Signature": signing.signature(body, int(now.timestamp()), secrets),
        "Bankes-Event-Id": str(delivery.event_id),
        "Bankes-Delivery-Id": str(delivery.pk),
    }
    result = sending.post(webhook.url, body, headers)
    log.info(
        "webhook_sent" if result.delivered else "webhook_not_delivered",
        delivery=str(delivery.pk),
        webhook=str(webhook.pk),
        attempt=delivery.attempts,
        status=result.status,
        error=result.error,
        ms=round(result.seconds * 1000),
    )
    return result
