"""Dead letters as messages: each is written to the dead-letter topic once it is on record."""

import time
from collections.abc import Callable
from functools import cached_property

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from django.db import connection

from eventstore.kafka import clients
from ops.conf import get_settings

log = structlog.get_logger(__name__)

BATCH = 100
"""Most letters that are on their way at once."""
PAYLOAD_BYTES = 256 * 1024
"""Largest payload that a letter carries: the message, or the event's data and metadata."""
EVERY = 1.0
LEAVE_WITHIN = 1.0
"""Seconds that the brokers get at the end to confirm what is on its way."""
Letter = tuple[int, bytes | None, str]
"""Id, key, and all else as JSON."""


class Letters:
    """Publishes letters that are not published yet, oldest first, for as long as its relay leads. It waits for no
    broker and has a producer of its own, so that it holds up no event.

    A letter is marked only when the brokers have confirmed it: after a crash it may be there twice, under one id.
    One that they do not take is tried again later. A payload above PAYLOAD_BYTES is left out: its fields are missing.
    """

    def __init__(self) -> None:
        self._due = 0.0
        self._on_the_way = 0
        self._confirmed: list[int] = []
        self._failed: list[int] = []

    @cached_property
    def _producer(self) -> Producer:
        return clients.producer(**{"enable.idempotence": False})  # so that a letter's failure is never the producer's

    def publish(self) -> None:
        """Every EVERY seconds: marks what was confirmed, and sends more when nothing is on its way any more."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + EVERY
        if self._on_the_way:
            self._producer.poll(0)
            self._mark()
        if not self._on_the_way:
            self._send(_unpublished())

    def close(self) -> None:
        """Marks what is confirmed within a moment; the next relay sends the rest."""
        if self._on_the_way:
            self._producer.flush(LEAVE_WITHIN)
            self._producer.purge()
            self._producer.flush(LEAVE_WITHIN)
            self._mark()

    def _send(self, letters: list[Letter]) -> None:
        topic = get_settings().kafka_dead_letter_topic
        for letter_id, key, value in letters:
            try:
                self._producer.produce(
                    topic,
                    value,
                    key,
                    headers={"dead_letter": str(letter_id)},
                    on_delivery=self._note(letter_id),
                )
            except BufferError:  # the rest goes with the next ones
                return
            except KafkaException as error:
                log.warning("dead_letter_not_sent", id=letter_id, error=repr(error))
            else:
                self._on_the_way += 1

    def _note(self, letter_id: int) -> Callable[[KafkaError | None, Message], None]:
        def note(error: KafkaError | None, _message: Message) -> None:
            self._on_the_way -= 1
            (self._failed if error else self._confirmed).append(letter_id)

        return note

    def _mark(self) -> None:
        (confirmed, failed), self._confirmed, self._failed = (self._confirmed, self._failed), [], []
        if failed:
            log.warning("dead_letters_not_published", ids=failed)
        if confirmed:
            with connection.cursor() as cursor:
                cursor.execute(
                    "UPDATE dead_letters SET published_at = clock_timestamp() WHERE id = ANY (%s)", (confirmed,)
                )


def _unpublished() -> list[Letter]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT l.id, coalesce(convert_to(l.aggregate_id::text, 'UTF8'), substring(l.message_key FOR 1024)),
                   (to_jsonb(l) - 'message_key' - 'message_value'
                    || CASE WHEN octet_length(payload::text) <= %s THEN payload ELSE '{}' END)::text
              FROM dead_letters l
              LEFT JOIN events e USING (position)
             CROSS JOIN LATERAL (SELECT jsonb_build_object(
                        'message_key', encode(l.message_key, 'base64'),
                        'message_value', encode(l.message_value, 'base64'),
                        'event_data', e.data, 'event_metadata', e.metadata) AS payload) p
             WHERE l.published_at IS NULL
             ORDER BY l.id LIMIT %s
            """,
            (PAYLOAD_BYTES, BATCH),
        )
        return [(letter_id, None if key is None else bytes(key), value) for letter_id, key, value in cursor]
