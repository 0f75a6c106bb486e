"""What a relay does while it leads: reads, sends, and notes what the brokers have confirmed."""

import threading
import time
from collections import defaultdict
from zlib import crc32

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from eventstore.kafka import clients, lease
from eventstore.kafka.lease import Lease
from eventstore.kafka.letters import Letters
from eventstore.kafka.messages import Row, message_of
from eventstore.kafka.reading import Reader
from ops.conf import get_settings
from ops.operations import Operation
from ops.timeouts.attempts import Outcome, outcome_of, record

log = structlog.get_logger(__name__)

WINDOW = 20
"""Most batches that are sent before all of them are confirmed. (To hear of each message by itself would let the next
batch begin earlier, and costs more than that gains: a third of the relay's time.)"""
LINGER_MS = 100
"""Longest wait of a message for others of its partition while there is more to read: the brokers work by the batch.
What was read last does not wait: `flush` sends all there is."""
CONFIRMATION_POLL = 0.002
FLUSH = 0.1
"""Longest wait for confirmations before the lease and the order to stop are looked at."""
STOP_WITHIN = 4.0
"""Seconds that the brokers get to confirm what is in flight when the relay is told to stop."""
RENEW_EVERY = lease.LEASE_SECONDS / 4
SHORTEST_PAUSE = 0.01


class Term:
    """The time between taking the lease and losing it, with a producer of its own.

    While the brokers confirm what was sent, the reader fetches what comes next. The checkpoint moves when nothing is
    left to be confirmed.
    """

    def __init__(self, taken: Lease, shards: int, stop: threading.Event | None = None) -> None:
        self._lease = taken
        self._shards = shards
        self._stop = stop or threading.Event()
        self._noted = self._position = taken.position
        self._previous = list(taken.shard_positions)
        self._failed: list[KafkaError] = []
        self._window: Operation | None = None
        self._batches = 0
        self._renew_at = time.monotonic() + RENEW_EVERY
        self._letters = Letters()
        self._producer: Producer = clients.producer(
            **{"delivery.report.only.error": True, "on_delivery": self._not_delivered, "linger.ms": LINGER_MS}
        )
        self._reader = Reader(taken.position)

    def __enter__(self) -> "Term":
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._reader.close()
        self._producer.purge()
        self._producer.flush(1)
        self._end_window(outcome_of(error) if error else "ok")
        self._letters.close()

    def run(self) -> None:
        """Until `stop` is set; what is in flight then is confirmed and noted first.

        Raises:
            Fenced: another relay leads.
            KafkaException, DatabaseError: nothing is lost; begin another term.
        """
        longest = get_settings().projection_poll_ms / 1000
        pause = SHORTEST_PAUSE
        while not self._stop.is_set():
            self._letters.publish()
            if self.step():
                pause = SHORTEST_PAUSE
                continue
            self._stop.wait(pause)
            pause = min(longest, pause * 1.5)
        self._confirm()

    def step(self) -> int:
        """Sends a batch; waits until all that was sent is confirmed, and notes that, when no more is known of or the
        window is full. Returns how many events were sent."""
        rows, reached = self._reader.next()
        if rows:
            self._send(rows)
        self._position = reached
        if self._reader.is_level or self._batches == WINDOW:
            self._confirm()
        return len(rows)

    def _send(self, rows: list[Row]) -> None:
        """Shard by shard: what the producer gets together for one partition goes to the brokers as one batch, and
        they work by the batch. Order matters within a shard only."""
        if self._window is None:
            timeout = get_settings().deadlock_operation_timeout
            self._window = Operation("batch", "relay", timeout=timeout, resources=(), actor="system:relay")
        self._window.step("sending", [f"positions {self._noted + 1} to {rows[-1][0]}"])
        self._batches += 1
        by_shard: dict[int, list[Row]] = defaultdict(list)
        for row in rows:
            by_shard[crc32(row[1]) % self._shards].append(row)
        for shard, its_rows in by_shard.items():
            self._send_shard(shard, its_rows)
        self._heed(0)

    def _send_shard(self, shard: int, rows: list[Row]) -> None:
        topic, produce, previous = self._lease.topic, self._producer.produce, str(self._previous[shard])
        for row in rows:
            key, value, headers = message_of(row, previous)
            previous = row[0]
            while True:
                try:
                    produce(topic, value, key, shard, headers=headers)
                except BufferError:  # the queue is full: each message in it is confirmed, or given up, in time
                    self._heed(CONFIRMATION_POLL)
                except KafkaException as error:
                    if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                        raise
                    # Consumers see by the next `previous`, or by the checkpoint, that it is missing: they read
                    # the feed.
                    log.error("event_too_large", position=int(previous), characters=len(value))
                    break
                else:
                    break
        self._previous[shard] = int(previous)

    def _confirm(self) -> None:
        """Waits until the brokers have confirmed everything, and moves the checkpoint there."""
        if self._window is not None:
            self._window.step("waiting for confirmation")
        told_at = 0.0
        while waiting := self._producer.flush(FLUSH):
            self._heed(0)
            if self._stop.is_set():
                told_at = told_at or time.monotonic()
                if time.monotonic() > told_at + STOP_WITHIN:
                    raise KafkaException(
                        KafkaError(KafkaError._MSG_TIMED_OUT, f"told to stop before {waiting} confirmations")
                    )
        self._heed(0)
        if self._position > self._noted:  # also past the hole that a rolled back append has left
            lease.advance(self._lease, self._position, self._previous)
            self._noted = self._position
            self._renew_at = time.monotonic() + RENEW_EVERY
        self._end_window("ok")

    def _heed(self, wait: float) -> None:
        """Hears what the brokers could not take, for at most `wait` seconds, and keeps the lease."""
        self._producer.poll(wait)
        if self._failed:
            raise KafkaException(self._failed[0])
        if time.monotonic() > self._renew_at:
            lease.renew(self._lease)
            self._renew_at = time.monotonic() + RENEW_EVERY

    def _not_delivered(self, error: KafkaError, _message: Message) -> None:
        """Called from poll() for each message that the brokers refused, or did not confirm in time."""
        self._failed.append(error)

    def _end_window(self, outcome: Outcome) -> None:
        if self._window is not None:
            self._window.end()
            record("kafka", outcome, time.time() - self._window.started)
        self._window, self._batches = None, 0
