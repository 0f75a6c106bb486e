"""Applies the events of a topic to the read models: one member of the consumer group.

Messages are taken as they come, applied to each read model in one transaction with its checkpoints, and only then
are their offsets committed. The offsets save time at the next start; what was applied, the checkpoints say.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from django.db import InterfaceError, OperationalError, connection

from eventstore import feed
from eventstore.feed import Types
from eventstore.kafka import clients
from eventstore.kafka.batches import batches
from eventstore.kafka.follower import Follower
from eventstore.kafka.messages import Received, Unreadable, read_message
from eventstore.projections import dead_letters
from eventstore.projections.base import Projection
from ops.conf import get_settings
from ops.operations import operation, step

log = structlog.get_logger(__name__)

WAIT = 0.25
"""Seconds that an idle consumer waits for a message before it looks around."""
COMMIT_EVERY = 0.25
SETTLE_WHEN_QUIET = 1.0
SETTLE_EVERY = 30.0
LONGEST_BACKOFF = 5.0
LEAVE_WITHIN = 4.0
"""Seconds that the brokers get to hear of it when the consumer is told to stop."""
LEAVING_TICK = 0.05


class Member:
    """One consumer; it ends when `stop` is set, after the batch in hand."""

    def __init__(self, projections: Sequence[Projection[Any]], stop: threading.Event) -> None:
        config = get_settings()
        self.shards = feed.require_shard_count()
        self.owned: set[int] = set()
        self._stop = stop
        self._topic = config.kafka_topic
        self._most = config.kafka_consumer_max_poll_records
        self._followers = [Follower(projection, self.shards, stop) for projection in projections]
        self._done: dict[int, int] = {}
        self._committed_at = self._busy_at = self._settled_at = time.monotonic()
        self._known_mark = 0
        self._consumer: Consumer

    def run(self) -> None:
        """Joins the group and follows the topic until told to stop; begins anew when Kafka fails for good."""
        failures = 0
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self._join_and_follow()
            except (KafkaException, OperationalError, InterfaceError) as error:
                failures = 1 if time.monotonic() - began > 4 * LONGEST_BACKOFF else failures + 1
                connection.close()
                log.warning("consumer_failed", error=repr(error), failures=failures)
                self._stop.wait(min(LONGEST_BACKOFF, 0.2 * 2.0**failures) * (0.5 + random.random()))  # noqa: S311
        connection.close()

    def _join_and_follow(self) -> None:
        with self.membership():
            while not self._stop.is_set():
                self.turn()

    @contextmanager
    def membership(self) -> Iterator[None]:
        """In the group until the block is left; leaving commits what is done."""
        self._consumer = clients.consumer()
        self._consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        try:
            yield
        finally:
            self._leave()
            self.owned.clear()

    def _leave(self) -> None:
        """Gives back what it has and leaves the group. While the brokers are away the library waits for them, since
        an offset on its way might still arrive; whoever was told to stop does not wait so long: what was applied is
        in the checkpoints."""
        leaving = threading.Thread(target=self._consumer.close, name="leaving", daemon=True)
        leaving.start()
        told_at = None
        while leaving.is_alive():
            leaving.join(LEAVING_TICK)
            if self._stop.is_set():
                told_at = told_at or time.monotonic()
                if time.monotonic() - told_at > LEAVE_WITHIN:
                    log.warning("consumer_left_unheard", seconds=LEAVE_WITHIN)
                    return

    def turn(self) -> int:
        """Takes what has arrived and applies it; returns how many messages that were."""
        messages = self._messages()
        if messages:
            self._apply(messages)
            self._busy_at = time.monotonic()
        self._settle_when_due()
        self._commit(at_once=not messages)
        return len(messages)

    # -- taking

    def _messages(self) -> list[Message]:
        """What is there of our shards, at most as many as a batch may hold; waits a moment when there is nothing."""
        first = self._consumer.poll(WAIT)
        if first is None:
            return []
        messages = [first, *(self._consumer.consume(self._most - 1, timeout=0) if self._most > 1 else ())]
        for error in filter(None, [message.error() for message in messages]):
            self._heed(error)
        owned = self.owned
        return [message for message in messages if message.partition() in owned and message.error() is None]

    def _heed(self, error: KafkaError) -> None:
        if error.fatal():
            raise KafkaException(error)
        log.warning("consumer_error", error=error.str(), code=error.name())

    # -- applying

    def _apply(self, messages: list[Message]) -> None:
        longest = get_settings().kafka_consumer_max_poll_interval_ms / 1000
        with operation("batch", "consumer", timeout=longest, actor="system:consumer"):
            step("reading", [f"{len(messages)} messages of {self._topic}"])
            received, types, unread = self._read(messages)
            for batch in batches(received, types):
                for follower in self._followers:
                    step(f"applying to {follower.projection.name}")
                    follower.take(batch, self.owned)
            self._done |= {message.partition(): message.offset() + 1 for message in messages}  # type: ignore[misc,operator]
            if unread:
                self._settle(unread, quiet=True)

    def _read(self, messages: list[Message]) -> tuple[list[Received], Types, set[int]]:
        """The events, their types, and the shards of messages that were none: those are on record as dead letters."""
        received: list[Received] = []
        readable: list[Message] = []
        refused: list[tuple[Message, Unreadable]] = []
        for message in messages:
            try:
                received.append(read_message(message, self.shards))
            except Unreadable as error:
                refused.append((message, error))
            else:
                readable.append(message)
        types, strangers = _patiently(lambda: self._look_up(received), self._stop) if received else (frozenset(), ())
        for place in sorted(strangers):
            ref, _, event_id = received[place]
            why = Unreadable(f"event {event_id} at position {ref.position} is not in the books")
            refused.append((readable[place], why))
        if strangers:
            received = [item for place, item in enumerate(received) if place not in strangers]
        for message, why in refused:
            self._record(message, why)
        return received, types, {message.partition() for message, _ in refused}  # type: ignore[misc]

    def _look_up(self, received: list[Received]) -> tuple[Types, set[int]]:
        """Their types, and the places of those that are not in the books, or may not be read yet."""
        refs = [ref for ref, _, _ in received]
        event_ids = [event_id for _, _, event_id in received]
        last = max(refs).position
        if last > self._known_mark:
            self._known_mark = feed.mark()
        types = feed.types_of(refs, event_ids)
        missing = feed.strangers(refs, event_ids) if (None, None) in types else set()
        if last > self._known_mark:
            missing |= {place for place, ref in enumerate(refs) if ref.position > self._known_mark}
        return types - {(None, None)}, missing

    def _record(self, message: Message, error: Unreadable) -> None:
        place: dict[str, Any] = {"topic": self._topic, "partition": message.partition(), "offset": message.offset()}
        log.error("message_unreadable", error=str(error), **place)
        _patiently(
            lambda: dead_letters.record_unreadable(
                **place, key=_bytes(message.key()), value=_bytes(message.value()), error=error
            ),
            self._stop,
        )

    # -- what no message brings

    def _settle_when_due(self) -> None:
        """When it is quiet, and now and then, the read models look for what no message brought."""
        now = time.monotonic()
        quiet = now - self._busy_at > SETTLE_WHEN_QUIET
        if self.owned and now - self._settled_at > (SETTLE_WHEN_QUIET if quiet else SETTLE_EVERY):
            self._settle(self.owned, quiet=quiet)
            self._settled_at = time.monotonic()

    def _settle(self, shards: set[int], *, quiet: bool) -> None:
        for follower in self._followers:
            follower.settle(shards, quiet=quiet)

    # -- offsets and rebalances

    def _commit(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if not self._done or (not at_once and now - self._committed_at < COMMIT_EVERY):
            return
        self._committed_at = now
        offsets, self._done = self._offsets(self._done), {}
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            log.warning("commit_failed", error=repr(error))

    def _assigned(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.owned |= {partition.partition for partition in partitions}
        log.info("shards_assigned", count=len(partitions), owned=len(self.owned))

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """The batch in hand is applied already: this runs between two batches. Its offsets go with the shards."""
        leaving = {partition.partition for partition in partitions}
        self.owned -= leaving
        done = {shard: self._done.pop(shard) for shard in leaving & self._done.keys()}
        log.info("shards_revoked", count=len(leaving), owned=len(self.owned))
        if not done:
            return
        try:
            consumer.commit(offsets=self._offsets(done), asynchronous=False)
        except KafkaException as error:
            log.warning("commit_failed", error=repr(error))

    def _lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Somebody else may have them already; what was applied is in the checkpoints."""
        leaving = {partition.partition for partition in partitions}
        self.owned -= leaving
        for shard in leaving:
            self._done.pop(shard, None)
        log.warning("shards_lost", count=len(leaving), owned=len(self.owned))

    def _offsets(self, done: dict[int, int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, partition, offset) for partition, offset in done.items()]


def _patiently(ask: Callable[[], Any], stop: threading.Event) -> Any:
    """The answer of the database, waited for while it does not answer; raises when told to stop meanwhile."""
    pause = 0.1
    while True:
        try:
            return ask()
        except (OperationalError, InterfaceError):
            connection.close()
            if stop.wait(pause * (0.5 + random.random())):  # noqa: S311 - jitter
                raise
            pause = min(LONGEST_BACKOFF, pause * 2)


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
