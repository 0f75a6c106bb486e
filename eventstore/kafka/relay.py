"""Carries the feed to Kafka: each event at least once, each shard's events in order into its partition.

One relay leads, others wait (see `lease`). The checkpoint moves only when the brokers have confirmed every event up
to it, so what a dead relay had sent but not noted is sent again by the next; the read models skip it.
"""

import os
import random
import socket
import threading
import time

import structlog
from confluent_kafka import KafkaException
from django.db import DatabaseError, InterfaceError, connection
from psycopg_pool import PoolTimeout

from eventstore import feed
from eventstore.kafka import lease, topics
from eventstore.kafka.lease import Fenced, Lease
from eventstore.kafka.term import Term
from ops.conf import get_settings

log = structlog.get_logger(__name__)

STANDBY_PAUSE = 0.5
FIRST_BACKOFF, LONGEST_BACKOFF = 0.2, 5.0
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
