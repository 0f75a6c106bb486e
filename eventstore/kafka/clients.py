"""How this process speaks to the brokers: all settings of librdkafka in one place."""

import logging
import os
import socket
import time
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import AdminClient

from ops.conf import get_settings

log = structlog.get_logger(__name__)

PRODUCER_QUEUE_KIB = 32 * 1024
"""Most that a producer holds in memory."""
CONSUMER_QUEUE_KIB = 16 * 1024
"""Most that a consumer fetches ahead."""
MESSAGE_BYTES = 4 * 1024 * 1024
"""Largest message; a larger event travels through PostgreSQL alone."""
QUIET_SECONDS = 10.0
_LIBRARY_LOG = logging.getLogger("librdkafka")
_LIBRARY_LOG.setLevel(logging.CRITICAL)  # what matters comes to _ErrorLog too, once


def producer(**settings: Any) -> Producer:
    """A producer whose messages arrive once and in order for as long as it lives."""
    return Producer(
        {
            **_common(),
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "compression.type": "lz4",
            "queue.buffering.max.kbytes": PRODUCER_QUEUE_KIB,
            "message.max.bytes": MESSAGE_BYTES,
            "message.timeout.ms": get_settings().kafka_operation_timeout * 1000,
            **settings,
        },
        logger=_LIBRARY_LOG,
    )


def consumer(**settings: Any) -> Consumer:
    """A member of the read models' group, which commits only what it is told to."""
    config = get_settings()
    return Consumer(
        {
            **_common(),
            "group.id": config.kafka_group_id,
            "client.id": f"bankes-consumer-{socket.gethostname()}-{os.getpid()}",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": config.kafka_consumer_session_timeout_ms,
            "heartbeat.interval.ms": min(3000, config.kafka_consumer_session_timeout_ms // 3),
            "max.poll.interval.ms": config.kafka_consumer_max_poll_interval_ms,
            "queued.max.messages.kbytes": CONSUMER_QUEUE_KIB,
            "fetch.max.bytes": 2 * MESSAGE_BYTES,
            "message.max.bytes": MESSAGE_BYTES,
            "fetch.wait.max.ms": 100,
            "fetch.error.backoff.ms": 100,
            **settings,
        },
        logger=_LIBRARY_LOG,
    )


def admin() -> AdminClient:
    """A client for topics and groups; every call on it takes a time limit."""
    return AdminClient(_common(), logger=_LIBRARY_LOG)


def _common() -> dict[str, Any]:
    config = get_settings()
    settings: dict[str, Any] = {
        "bootstrap.servers": config.kafka_bootstrap_servers,
        "security.protocol": config.kafka_security_protocol,
        "socket.timeout.ms": config.kafka_operation_timeout * 1000,
        "socket.keepalive.enable": True,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
        "topic.metadata.refresh.interval.ms": 30_000,
        "error_cb": _ErrorLog(),
    }
    if config.kafka_security_protocol.startswith("SASL"):
        settings |= {
            "sasl.mechanism": config.kafka_sasl_mechanism,
            "sasl.username": config.kafka_sasl_username,
            "sasl.password": config.kafka_sasl_password.get_secret_value(),
        }
    if config.kafka_ssl_ca_location:
        settings["ssl.ca.location"] = config.kafka_ssl_ca_location
    return settings


class _ErrorLog:
    """Writes what a client complains of: the same complaint at most once in QUIET_SECONDS, since a client that has
    lost its brokers repeats it with every try."""

    def __init__(self) -> None:
        self._said: dict[int, float] = {}

    def __call__(self, error: KafkaError) -> None:
        now = time.monotonic()
        if error.fatal() or now - self._said.get(error.code(), -QUIET_SECONDS) >= QUIET_SECONDS:
            self._said[error.code()] = now
            log.warning("kafka_error", error=error.str(), code=error.name(), fatal=error.fatal())
