"""Dead letters as messages: each is written to the dead-letter topic once it is on record."""

from collections.abc import Callable

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from django.db import connection

from ops.conf import get_settings

log = structlog.get_logger(__name__)

BATCH = 200


def publish(producer: Producer) -> int:
    """Writes letters that are not published yet, oldest first; returns how many were confirmed. Called by the relay
    that leads, with its producer, which reports failures only.

    A letter is marked only when the brokers have confirmed it: after a crash it may be there twice, under one id.
    One that they do not take is tried again later; it holds up no event.
    """
    config = get_settings()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id, coalesce(convert_to(l.aggregate_id::text, 'UTF8'), message_key),
                   (to_jsonb(l) - 'message_key' - 'message_value'
                    || jsonb_build_object('message_key', encode(message_key, 'base64'),
                                          'message_value', encode(message_value, 'base64'),
                                          'event_data', e.data, 'event_metadata', e.metadata))::text
              FROM dead_letters l
              LEFT JOIN events e USING (position)
             WHERE l.published_at IS NULL
             ORDER BY l.id LIMIT %s
            """,
            (BATCH,),
        )
        rows = cursor.fetchall()
    if not rows:
        return 0
    failed: set[int] = set()
    for letter_id, key, value in rows:
        producer.produce(
            config.kafka_dead_letter_topic,
            value=value,
            key=bytes(key) if key is not None else None,
            headers={"dead_letter": str(letter_id)},
            on_delivery=_note_failure(failed, letter_id),
        )
    if producer.flush(config.kafka_operation_timeout):
        raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT, "dead letters were not confirmed in time"))
    confirmed = [letter_id for letter_id, _, _ in rows if letter_id not in failed]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE dead_letters SET published_at = clock_timestamp() WHERE id = ANY (%s)", (confirmed,))
    if failed:
        log.warning("dead_letters_not_published", ids=sorted(failed))
    return len(confirmed)


def _note_failure(failed: set[int], letter_id: int) -> Callable[[KafkaError | None, Message], None]:
    def note(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failed.add(letter_id)

    return note
