"""The topics: one partition a shard, made by the relay where they are missing."""

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import NewTopic

from eventstore.errors import BrokenHistory
from eventstore.kafka import clients
from ops.conf import get_settings
from ops.timeouts import attempt


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
        known = client.list_topics(timeout=timeout).topics
    partitions = len(known[config.kafka_topic].partitions) if config.kafka_topic in known else shards
    if partitions != shards:
        raise BrokenHistory(
            f"topic {config.kafka_topic} has {partitions} partitions and the store has {shards} shards: "
            "set KAFKA_TOPIC to the name of a new topic"
        )


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
