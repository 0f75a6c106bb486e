"""What a relay does while it leads: reads, sends, and notes what the brokers have confirmed."""

import threading
import time
import zlib
from collections import deque
from collections.abc import Sequence

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from eventstore.kafka import clients, lease, letters
from eventstore.kafka.lease import Lease
from eventstore.kafka.messages import Row, headers_of
from eventstore.kafka.reading import Reader
from ops.conf import get_settings
from ops.operations import Operation
from ops.timeouts.attempts import Outcome, outcome_of, record

log = structlog.get_logger(__name__)

WINDOW = 4
"""Most batches in flight: while the brokers confirm the first, the next ones are read and sent."""
CONFIRMATION_POLL = 0.002
STOP_WITHIN = 4.0
"""Seconds that the brokers get to confirm what is in flight when the relay is told to stop."""
RENEW_EVERY = lease.LEASE_SECONDS / 4
SHORTEST_PAUSE = 0.01
LETTERS_EVERY = 1.0


class InFlight:
    """A batch that was handed to the producer. `previous`: the last position of each shard at its end."""

    __slots__ = ("_failed", "_operation", "events", "left", "previous", "reached")

    def __init__(self, failed: list[KafkaError], rows: Sequence[Row]) -> None:
        self._failed = failed
        self._operation = Operation(
            "batch",
            "relay",
            timeout=get_settings().deadlock_operation_timeout,
            resources=[f"positions {rows[0].position} to {rows[-1].position}"] if rows else [],
            actor="system:relay",
        )
        self.events = self.left = len(rows)
        self.reached = 0
        self.previous: list[int] = []

    def delivered(self, error: KafkaError | None, _message: Message) -> None:
        """Called from poll() for each message: confirmed, refused, or not confirmed in time."""
        self.left -= 1
        if error is not None:
            self._failed.append(error)

    def sent(self, reached: int, previous: Sequence[int]) -> None:
        self.reached, self.previous = reached, list(previous)
        self._operation.step("waiting for confirmation")

    def end(self, outcome: Outcome) -> None:
        self._operation.end()
        if self.events:
            record("kafka", outcome, time.time() - self._operation.started)


class Term:
    """The time between taking the lease and losing it, with a producer of its own.

    Batches are sent one after another without waiting; the checkpoint follows in their order, each batch when all
    of it, and all before it, is confirmed.
    """

    def __init__(self, taken: Lease, shards: int, stop: threading.Event | None = None) -> None:
        self._lease = taken
        self._shards = shards
        self._stop = stop or threading.Event()
        self._position = taken.position
        self._previous = list(taken.shard_positions)
        self._failed: list[KafkaError] = []
        self._in_flight: deque[InFlight] = deque()
        self._renew_at = time.monotonic() + RENEW_EVERY
        self._letters_at = 0.0
        self._producer: Producer = clients.producer()
        self._reader = Reader(taken.position)

    def __enter__(self) -> "Term":
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._reader.close()
        self._producer.purge()
        self._producer.flush(1)
        for batch in self._in_flight:
            batch.end(outcome_of(error) if error else "ok")

    def run(self) -> None:
        """Until `stop` is set; what is in flight then is confirmed and noted first.

        Raises:
            Fenced: another relay leads.
            KafkaException, DatabaseError: nothing is lost; begin another term.
        """
        longest = get_settings().projection_poll_ms / 1000
        pause = SHORTEST_PAUSE
        while not self._stop.is_set():
            self._publish_letters()
            if self.step() or self._in_flight:
                pause = SHORTEST_PAUSE
                continue
            self._stop.wait(pause)
            pause = min(longest, pause * 1.5)
        self._await_all()

    def step(self) -> int:
        """Sends one batch, where there is one and room for it, and notes what was confirmed; returns how many events
        were noted."""
        if len(self._in_flight) < WINDOW:
            rows, reached = self._reader.next()
            if reached > self._position:  # also past the hole that a rolled back append has left
                self._send(rows, reached)
            wait = 0.0 if rows else SHORTEST_PAUSE
        else:
            wait = CONFIRMATION_POLL
        return self._note(wait if self._in_flight and self._in_flight[0].left else 0.0)

    def _send(self, rows: list[Row], reached: int) -> None:
        batch = InFlight(self._failed, rows)
        self._in_flight.append(batch)
        for row in rows:
            shard = zlib.crc32(row.aggregate_id) % self._shards
            self._produce(row, shard, batch)
            self._previous[shard] = row.position
        batch.sent(reached, self._previous)
        self._position = reached

    def _produce(self, row: Row, shard: int, batch: InFlight) -> None:
        headers = headers_of(row, self._previous[shard])
        while True:
            try:
                self._producer.produce(self._lease.topic, row.value, row.key, shard, batch.delivered, headers=headers)
            except BufferError:  # the queue is full: each message in it is confirmed, or given up, in time
                self._note(CONFIRMATION_POLL)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                    raise
                # Consumers see by the next `previous`, or by the checkpoint, that it is missing: they read the feed.
                log.error("event_too_large", position=row.position, characters=len(row.value))
                batch.left -= 1
                return
            else:
                return

    def _note(self, wait: float) -> int:
        """Hears what the brokers have to say, for at most `wait` seconds, and moves the checkpoint; returns how many
        events that is."""
        self._producer.poll(wait)
        if self._failed:
            raise KafkaException(self._failed[0])
        done, events = None, 0
        while self._in_flight and not self._in_flight[0].left:
            done = self._in_flight.popleft()
            done.end("ok")
            events += done.events
        if done is not None:
            lease.advance(self._lease, done.reached, done.previous)
            self._renew_at = time.monotonic() + RENEW_EVERY
        elif time.monotonic() > self._renew_at:
            lease.renew(self._lease)
            self._renew_at = time.monotonic() + RENEW_EVERY
        return events

    def _await_all(self) -> None:
        deadline = time.monotonic() + STOP_WITHIN
        while self._in_flight:
            if time.monotonic() > deadline:
                raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT, "told to stop before the confirmation"))
            self._note(CONFIRMATION_POLL)

    def _publish_letters(self) -> None:
        if time.monotonic() > self._letters_at:
            letters.publish(self._producer)
            self._letters_at = time.monotonic() + LETTERS_EVERY
