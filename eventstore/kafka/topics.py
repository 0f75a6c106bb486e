"""The topics: one partition a shard, made by the relay where they are missing."""

import time

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from eventstore.errors import BrokenHistory
from eventstore.kafka import clients
from ops.conf import get_settings
from ops.timeouts import attempt

NAMED_POLL = 0.05
"""Seconds between two looks for a topic that was just made."""


def ensure_topics(shards: int) -> None:
    """Makes the topics of events and of dead letters, where they are not there yet.

    Raises:
        BrokenHistory: the topic of events has another number of partitions than the store has shards.
        KafkaException: the brokers did not answer in time, or refused.
    """
    with attempt("kafka"):
        _ensure_topics(shards)


def _ensure_topics(shards: int) -> None:
    config = get_settings()
    client, timeout = clients.admin(), config.kafka_operation_timeout
    wanted = [_new_topic(config.kafka_topic, shards), _new_topic(config.kafka_dead_letter_topic, 1)]
    known = client.list_topics(timeout=timeout).topics
    missing = [topic for topic in wanted if topic.topic not in known]
    if missing:
        for future in client.create_topics(missing, operation_timeout=timeout, request_timeout=timeout).values():
            try:
                future.result(timeout)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
    partitions = _partitions(client, config.kafka_topic, timeout)
    if partitions != shards:
        raise BrokenHistory(
            f"topic {config.kafka_topic} has {partitions} partitions and the store has {shards} shards: "
            "set KAFKA_TOPIC to the name of a new topic"
        )


def _partitions(client: AdminClient, topic: str, seconds: float) -> int:
    """How many there are. A broker may name a new topic only some moments after it was made, also one that somebody
    else has just made with another number of partitions."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = client.list_topics(timeout=seconds).topics.get(topic)
        if found is not None and found.partitions:
            return len(found.partitions)
        time.sleep(NAMED_POLL)
    unknown = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, f"{topic} is there and not named within {seconds} s")
    raise KafkaException(unknown)


def _new_topic(name: str, partitions: int) -> NewTopic:
    config = get_settings()
    return NewTopic(
        name,
        num_partitions=partitions,
        replication_factor=config.kafka_replication_factor,
        config={
            "retention.ms": str(config.kafka_retention_hours * 3_600_000),
            "max.message.bytes": str(clients.MESSAGE_BYTES),
        },
    )
