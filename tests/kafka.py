"""A real broker for tests, and relays and consumers as the processes that they are."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from django.db import connection

from eventstore import projections
from eventstore.kafka import clients, lease, topics
from eventstore.projections import checkpoints
from ops.conf import get_settings
from ops.embedded import kafka as launcher
from ops.embedded.layout import ROOT
from ops.embedded.ports import kept_or_free
from ops.embedded.processes import wrapped
from tests.parts import lacking
from tests.processes import wait_until

READY_WITHIN = 90.0


class RunningBroker:
    """A broker of the tests' own, in a directory that outlives its processes."""

    def __init__(self, directory: Path) -> None:
        port = kept_or_free(None)
        self._broker = launcher.Broker(directory, (port, kept_or_free(None, port)), "test", os.environ)
        self.settings = self._broker.address.settings()
        self._process: subprocess.Popen[bytes] | None = None
        self._log = directory.parent / "broker.log"

    def start(self) -> None:
        """Returns when it answers."""
        self.begin()
        self.wait_until_it_answers()

    def wait_until_it_answers(self) -> None:
        wait_for(self._broker.answers, READY_WITHIN)

    def begin(self) -> None:
        spec = self._broker.spec()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                wrapped(spec.command, orphan_signal=signal.SIGKILL), cwd=spec.directory, env=dict(spec.environment),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, seconds: float) -> int:
        """The exit code."""
        assert self._process is not None
        return self._process.wait(seconds)

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()


def require_kafka() -> None:
    """Skips the test where no broker can be started, and says what to install; fails in CI."""
    missing = launcher.missing(os.environ)
    if missing:
        lacking(f"needs a real Kafka: install {' and '.join(missing)}")


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The settings that lead to a broker: the one that `make test` started, or one of our own."""
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield {name: value for name, value in os.environ.items() if name.startswith("KAFKA_")}
        return
    require_kafka()
    running = RunningBroker(tmp_path_factory.mktemp("kafka") / "broker")
    running.start()
    yield running.settings
    running.stop()


@pytest.fixture
def kafka(db: None, broker: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator["Kafka"]:
    """A topic and a consumer group of the test's own, with everything that a test does to them."""
    with Kafka.on(broker, monkeypatch) as kafka:
        yield kafka


class Kafka:
    """The processes of one test; all are killed at its end."""

    def __init__(self) -> None:
        self._processes: list[Process] = []

    @classmethod
    @contextmanager
    def on(cls, settings: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator["Kafka"]:
        mark = secrets.token_hex(4)
        own = {
            "KAFKA_TOPIC": f"events-{mark}",
            "KAFKA_DEAD_LETTER_TOPIC": f"letters-{mark}",
            "KAFKA_GROUP_ID": f"group-{mark}",
            "KAFKA_CONSUMER_SESSION_TIMEOUT_MS": "6000",
        }
        for name, value in {**settings, **own}.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        made = cls()
        try:
            yield made
        finally:
            for process in made._processes:
                process.kill()
            delete_topics()
            monkeypatch.undo()
            get_settings.cache_clear()

    def relay(self) -> "Process":
        return self.run("run_relay")

    def consumers(self, workers: int = 1) -> "Process":
        return self.run("consume_events", "--workers", str(workers))

    def run(self, *command: str) -> "Process":
        process = Process(*command)
        self._processes.append(process)
        return process

    def make_topics(self) -> None:
        topics.ensure_topics(get_settings().shard_count)

    def messages(self, topic: str = "", *, within: float = 15.0, count: int) -> list[Message]:
        """The first `count` messages of a topic."""
        found: list[Message] = []
        with reader(topic or get_settings().kafka_topic) as consumer:
            deadline = time.monotonic() + within
            while len(found) < count and time.monotonic() < deadline:
                found += [message for message in consumer.consume(1000, timeout=0.2) if not message.error()]
        return found

    def send(self, *messages: dict[str, Any]) -> None:
        """Writes messages of any content to the topic of events, as arguments of `Producer.produce`."""
        producer: Producer = clients.producer()
        for message in messages:
            producer.produce(get_settings().kafka_topic, **message)
        assert producer.flush(15) == 0


class Process:
    """One `manage.py COMMAND` that runs until it is told to stop."""

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(
            wrapped([sys.executable, "manage.py", *command, "--skip-checks"], orphan_signal=signal.SIGKILL),
            cwd=ROOT,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """To it and whatever it started."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return

    def kill(self) -> None:
        """kill -9, as a machine that loses power."""
        self.signal(signal.SIGKILL)
        self._process.wait()

    def stop(self, within: float = 15.0) -> int:
        """SIGTERM; returns the exit code."""
        self.terminate()
        return self.wait(within)

    def terminate(self) -> None:
        self._process.terminate()

    def wait(self, within: float) -> int:
        """The exit code."""
        return self._process.wait(within)


@contextmanager
def reader(topic: str) -> Iterator[Consumer]:
    """A consumer of a topic from its beginning, outside of every group."""
    with ExitStack() as stack:
        consumer = clients.consumer(**{"group.id": f"reader-{secrets.token_hex(4)}"})
        stack.callback(consumer.close)
        partitions = consumer.list_topics(topic, timeout=15).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        yield consumer


def wait_for(holds: Callable[[], Any], seconds: float = 30.0) -> None:
    """For what goes through a broker."""
    wait_until(holds, seconds, pause=0.05)


def delete_topics() -> None:
    """Those of the present settings, as far as they are there: thousands of partitions would slow the broker down."""
    config, admin = get_settings(), clients.admin()
    for future in admin.delete_topics([config.kafka_topic, config.kafka_dead_letter_topic]).values():
        with suppress(KafkaException):
            future.result(15)


def last_position() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(position), 0) FROM events")
        return int(cursor.fetchone()[0])


def relayed() -> int:
    """The position up to which the relay has noted its deliveries."""
    state = lease.state(get_settings().kafka_topic)
    return state.position if state else 0


def is_relayed() -> bool:
    """the relay has come to the end of the feed"""
    return relayed() >= last_position()


def is_applied() -> bool:
    """every read model has every event"""
    with connection.cursor() as cursor:
        cursor.execute("SELECT aggregate_id, max(position) FROM events GROUP BY aggregate_id")
        from eventstore import feed

        wanted: dict[int, int] = {}
        for aggregate_id, position in cursor.fetchall():
            shard = feed.shard_of(aggregate_id, get_settings().shard_count)
            wanted[shard] = max(position, wanted.get(shard, 0))
        for projection in projections.registered():
            found = checkpoints.read(cursor, checkpoints.active(cursor, projection.name))
            if any(found.get(shard, 0) < position for shard, position in wanted.items()):
                return False
    return True
