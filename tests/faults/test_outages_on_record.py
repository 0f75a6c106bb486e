"""Who looks at the incidents afterwards finds when Redis, Kafka or PostgreSQL did not answer, and for how long."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from eventstore import health as eventstore_health
from ops.detectors import incidents
from ops.detectors.monitor import Monitor
from ops.embedded.ports import kept_or_free
from ops.health import memory
from ops.models import Incident
from tests.bank import Bank
from tests.configured import configured
from tests.faults.postgres_server import PostgresServer
from tests.faults.redis_server import RedisServer
from tests.processes import wait_until
from tests.staff import make_staff, signed_in

INTERVAL = 1


def outages(subject: str) -> list[Incident]:
    return list(Incident.objects.filter(kind="outage", subject=subject).order_by("id"))


@pytest.fixture
def redis_it_uses(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    monkeypatch.setattr(memory, "_url", lambda: redis_server.url)
    return redis_server


@pytest.mark.parametrize("how", ["dead", "hung"])
def test_an_outage_of_redis_begins_and_ends(bank: Bank, redis_it_uses: RedisServer, how: str) -> None:
    monitor = Monitor()
    monitor.look()
    assert outages("redis") == []

    (redis_it_uses.kill if how == "dead" else redis_it_uses.pause)()
    monitor.look()
    monitor.look()
    [begun] = outages("redis")
    assert begun.ended_at is None
    assert begun.began_at < begun.last_seen_at
    assert begun.reason.startswith("Redis does not answer: ")

    (redis_it_uses.start if how == "dead" else redis_it_uses.resume)()
    monitor.look()
    [ended] = outages("redis")
    assert (ended.pk, ended.began_at) == (begun.pk, begun.began_at)
    assert ended.ended_at is not None
    text = signed_in(make_staff("auditor")).get("/admin/ops/incident/?kind=outage").content.decode()
    assert "Redis does not answer" in text


def test_one_that_comes_and_goes_is_one_incident_until_it_was_well_for_minutes(
    bank: Bank, redis_it_uses: RedisServer
) -> None:
    monitor = Monitor()

    def fall_silent_and_answer() -> None:
        redis_it_uses.kill()
        monitor.look()
        redis_it_uses.start()
        monitor.look()

    for _ in range(3):
        fall_silent_and_answer()
    [flapping] = outages("redis")
    assert flapping.detail["times"] == 3
    assert flapping.ended_at is not None

    long_ago = flapping.ended_at - incidents.RESUMED_WITHIN - timedelta(seconds=1)
    Incident.objects.update(began_at=long_ago, ended_at=long_ago)
    fall_silent_and_answer()
    assert [incident.detail.get("times", 1) for incident in outages("redis")] == [3, 1]


def test_brokers_that_do_not_answer_are_an_outage_where_there_are_to_be_some(bank: Bank) -> None:
    eventstore_health._client.cache_clear()
    try:
        with configured(kafka_enabled="true", kafka_bootstrap_servers=f"127.0.0.1:{kept_or_free(None)}"):
            Monitor().look()
            [begun] = outages("kafka")
            assert begun.ended_at is None
            assert begun.reason.startswith("Kafka does not answer: ")
        Monitor().look()
        assert outages("kafka")[0].ended_at is not None
    finally:
        eventstore_health._client.cache_clear()


class Monitored:
    """A PostgreSQL of its own, and monitors of it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.server, self._stack = PostgresServer(folder), stack
        stack.callback(self.server.stop)
        self.server.make()

    def start_monitor(self) -> None:
        environment = {**os.environ, **self.server.settings(), "DEADLOCK_CHECK_INTERVAL": str(INTERVAL)}
        process = subprocess.Popen([sys.executable, "manage.py", "run_monitor", "--skip-checks"], env=environment)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.server.settings()["DATABASE_URL"]) as connection:
            return connection.execute(query.encode()).fetchall()

    def outages(self) -> list[tuple[object, ...]]:
        return self.rows(
            "SELECT extract(epoch FROM ended_at - began_at)::float, ended_at > now() - interval '20 s', reason "
            "FROM ops_incident WHERE kind = 'outage' AND subject = 'postgresql'"
        )

    def looks(self) -> bool:
        return bool(self.rows("SELECT FROM ops_monitorrun WHERE at > now() - interval '1500 ms'"))


@pytest.fixture
def monitored(tmp_path: Path, db: None) -> Iterator[Monitored]:
    with ExitStack() as stack:
        yield Monitored(tmp_path, stack)


def test_an_outage_of_postgresql_is_recorded_once_it_answers_again(monitored: Monitored) -> None:
    server = monitored.server
    for _ in range(2):
        monitored.start_monitor()
    wait_until(monitored.looks, 30)
    monitored.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = user"
    )
    time.sleep(3 * INTERVAL)
    wait_until(monitored.looks, 30)
    assert monitored.outages() == [], "sessions were ended, and it answered"

    server.kill()
    time.sleep(6)
    server.start()
    wait_until(monitored.outages, 40)
    [(seconds, is_recent, reason)] = monitored.outages()
    assert isinstance(seconds, float)
    assert 3 < seconds < 40
    assert is_recent
    assert str(reason).startswith("PostgreSQL does not answer: ")
    wait_until(monitored.looks, 30)
    assert len(monitored.outages()) == 1
