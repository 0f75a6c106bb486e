"""Carries the feed to Kafka: each event at least once, each shard's events in order into its partition.

One relay leads, others wait (see `lease`). The checkpoint moves only when the brokers have confirmed every event up
to it, so what a dead relay had sent but not noted is sent again by the next; the read models skip it.
"""

import os
import random
import socket
import threading
import time
import zlib
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from django.db import DatabaseError, InterfaceError, connection
from psycopg.rows import args_row
from psycopg_pool import PoolTimeout

from eventstore import feed
from eventstore.kafka import clients, lease, letters, topics
from eventstore.kafka.lease import Fenced, Lease
from eventstore.kafka.messages import ROW, Row, headers_of
from ops.conf import get_settings

log = structlog.get_logger(__name__)

BATCH = 5000
"""Most events in flight, and most that are read ahead."""
CONFIRMATION_POLL = 0.002
STOP_WITHIN = 4.0
"""Seconds that the brokers get to confirm what is in flight when the relay is told to stop."""
RENEW_EVERY = lease.LEASE_SECONDS / 4
STANDBY_PAUSE = 0.5
SHORTEST_PAUSE = 0.01
FIRST_BACKOFF, LONGEST_BACKOFF = 0.2, 5.0
LETTERS_EVERY = 1.0
TROUBLE = (KafkaException, DatabaseError, InterfaceError, PoolTimeout)
"""What passes by itself: the relay begins a new term after a pause."""


class Relay:
    """One process that leads or waits."""

    def __init__(self) -> None:
        self.topic = get_settings().kafka_topic
        self.shards = feed.require_shard_count()
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{threading.get_native_id()}"

    def run(self, stop: threading.Event) -> None:
        """Leads whenever it can, until `stop` is set; then what was sent is confirmed and noted first."""
        failures = 0
        while not stop.is_set():
            try:
                began = time.monotonic()
                if not self._lead_once(stop):
                    stop.wait(STANDBY_PAUSE * (0.5 + random.random()))  # noqa: S311 - jitter
            except Fenced as fenced:
                log.warning("relay_fenced", topic=self.topic, reason=str(fenced))
            except TROUBLE as error:
                failures = 1 if time.monotonic() - began > LONGEST_BACKOFF * 4 else failures + 1
                connection.close()
                log.warning("relay_failed", topic=self.topic, error=repr(error), failures=failures)
                longest = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0**failures)
                stop.wait(longest * (0.5 + random.random() / 2))  # noqa: S311 - jitter

    def _lead_once(self, stop: threading.Event) -> bool:
        """One term, to its end; False when another relay leads."""
        taken = lease.take(self.topic, self.holder, self.shards)
        if taken is None:
            return False
        log.info("relay_leads", topic=self.topic, epoch=taken.epoch, position=taken.position)
        try:
            topics.ensure_topics(self.shards)
            with Term(taken, self.shards, stop) as term:
                term.run()
        finally:
            _give_back(taken)
        return True


def _give_back(taken: Lease) -> None:
    try:
        lease.give_back(taken)
    except TROUBLE:
        connection.close()  # the lease runs out by itself


class Term:
    """The time between taking the lease and losing it, with a producer of its own.

    One batch is in flight at a time: while the brokers confirm it, the reader fetches the next.
    """

    def __init__(self, taken: Lease, shards: int, stop: threading.Event | None = None) -> None:
        self._lease = taken
        self._shards = shards
        self._stop = stop or threading.Event()
        self._position = taken.position
        self._previous = list(taken.shard_positions)
        self._failed: list[KafkaError] = []
        self._renew_at = time.monotonic() + RENEW_EVERY
        self._letters_at = 0.0
        self._producer: Producer = clients.producer(
            **{"delivery.report.only.error": True, "on_delivery": self._not_delivered}
        )
        self._reader = Reader(taken.position)

    def __enter__(self) -> "Term":
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        self._producer.purge()
        self._producer.flush(1)

    def run(self) -> None:
        """Until `stop` is set.

        Raises:
            Fenced: another relay leads.
            KafkaException, DatabaseError: nothing is lost; begin another term.
        """
        longest = get_settings().projection_poll_ms / 1000
        pause = SHORTEST_PAUSE
        while not self._stop.is_set():
            if self.step():
                pause = SHORTEST_PAUSE
                continue
            self._publish_letters()
            self._stop.wait(pause)
            pause = min(longest, pause * 1.5)

    def step(self) -> int:
        """Sends one batch, waits until all of it is confirmed, and notes that; returns how many events it had."""
        rows, reached = self._reader.next()
        for row in rows:
            self._send(row)
        self._await_confirmation()
        if reached > self._position:  # also past the hole that a rolled back append has left
            lease.advance(self._lease, reached, self._previous)
            self._position = reached
            self._renew_at = time.monotonic() + RENEW_EVERY
        return len(rows)

    def _send(self, row: Row) -> None:
        shard = zlib.crc32(row.aggregate_id) % self._shards
        try:
            self._producer.produce(
                self._lease.topic, row.value, row.key, shard, headers=headers_of(row, self._previous[shard])
            )
        except KafkaException as error:
            if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                raise
            # Consumers see by the next `previous`, or by the checkpoint, that it is missing: they read the feed.
            log.error("event_too_large", position=row.position, characters=len(row.value))
        self._previous[shard] = row.position

    def _await_confirmation(self) -> None:
        told_at = 0.0
        while True:
            waiting = len(self._producer)
            self._producer.poll(CONFIRMATION_POLL if waiting else 0)
            if self._failed:
                raise KafkaException(self._failed[0])
            if self._stop.is_set():
                told_at = told_at or time.monotonic()
                if waiting and time.monotonic() > told_at + STOP_WITHIN:
                    raise KafkaException(
                        KafkaError(KafkaError._MSG_TIMED_OUT, "told to stop before the confirmation")
                    )
            if time.monotonic() > self._renew_at:
                lease.renew(self._lease)
                self._renew_at = time.monotonic() + RENEW_EVERY
            if not waiting:
                return

    def _not_delivered(self, error: KafkaError, _message: Message) -> None:
        """Called from poll() for each message that the brokers refused, or did not confirm in time."""
        self._failed.append(error)

    def _publish_letters(self) -> None:
        if time.monotonic() > self._letters_at:
            letters.publish(self._producer)
            self._letters_at = time.monotonic() + LETTERS_EVERY


class Reader:
    """Reads the feed one batch ahead, in a thread of its own, while the last one is being sent."""

    def __init__(self, position: int) -> None:
        self._position = position
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="relay-reader")
        self._ahead: Future[tuple[list[Row], int]] | None = None

    def next(self) -> tuple[list[Row], int]:
        """The next rows, none when there are none now, and the position up to which they are all."""
        if self._ahead is None:
            self._ahead = self._pool.submit(self._read, self._position)
        rows, reached = self._ahead.result()
        self._position = reached
        self._ahead = self._pool.submit(self._read, reached) if rows else None
        return rows, reached

    def close(self) -> None:
        self._pool.submit(connection.close)
        self._pool.shutdown(wait=True)

    @staticmethod
    def _read(after: int) -> tuple[list[Row], int]:
        try:
            upto = feed.mark()
            if upto <= after:
                return [], after
            with psycopg.Cursor(connection.connection, row_factory=args_row(Row)) as cursor:
                rows = cursor.execute(
                    f"SELECT {ROW} FROM events WHERE position > %s AND position <= %s"
                    " ORDER BY events.position LIMIT %s",
                    (after, upto, BATCH),
                    prepare=True,
                ).fetchall()
            return rows, rows[-1].position if len(rows) == BATCH else upto
        except Exception:
            connection.close()
            raise
