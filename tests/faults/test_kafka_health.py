"""/health/kafka while a real broker, relay and consumers run, stop, hang and come back."""

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from eventstore import health
from tests.bank import Bank
from tests.kafka import Kafka, RunningBroker, is_applied, require_kafka, wait_for


@pytest.fixture
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """A broker that may be stopped."""
    require_kafka()
    running = RunningBroker(tmp_path_factory.mktemp("health") / "broker")
    running.start()
    yield running
    running.signal(signal.SIGCONT)
    running.stop()


def told() -> dict[str, Any]:
    found: dict[str, Any] = Client(SERVER_NAME="localhost").get("/health/kafka").json()
    return found


def test_it_tells_the_truth_of_broker_relay_and_consumers(
    bank: Bank, own_broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    health._client.cache_clear()
    monkeypatch.setenv("KAFKA_ENABLED", "true")
    monkeypatch.setenv("KAFKA_OPERATION_TIMEOUT", "2")
    with Kafka.on(own_broker.settings, monkeypatch) as kafka:
        before = told()
        assert before["status"] == "unhealthy"
        assert before["values"]["relay_without_leader"] == 1

        relay, _consumers = kafka.relay(), kafka.consumers()
        ann = bank.open("10.00")
        wait_for(is_applied, 60)
        wait_for(lambda: told()["status"] == "healthy", 30)
        running = told()["values"]
        assert running["brokers"] == 1
        assert running["relay"]["leads"] is True
        assert running["partitions"] > 0

        own_broker.signal(signal.SIGSTOP)
        started = time.monotonic()
        hung = told()
        assert time.monotonic() - started < 8
        assert (hung["status"], hung["values"]["brokers"]) == ("unhealthy", 0)
        assert "the brokers do not answer" in hung["reason"]
        own_broker.signal(signal.SIGCONT)
        wait_for(lambda: told()["status"] == "healthy", 30)

        relay.kill()
        bank.deposit(ann, "1.00")
        wait_for(lambda: told()["values"]["relay_without_leader"] == 1, 15)
        assert told()["status"] == "unhealthy"
        assert told()["values"]["relay_events"] > 0
        kafka.relay()
        wait_for(lambda: told()["status"] == "healthy", 60)
    health._client.cache_clear()
