"""With each component stopped in turn, hung as well as dead: every endpoint answers in bounded time, /health names
the culprit, and service resumes by itself when the component is back."""

import secrets
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from ops.drills.http import Answer, BankOverHttp
from ops.endpoints import ENDPOINTS
from tests.faults.postgres_server import PostgresServer
from tests.faults.redis_server import RedisServer
from tests.installation import Installation, installed
from tests.kafka import RunningBroker, require_kafka
from tests.processes import wait_until

HEALTH_WITHIN = 2
LIMITS = {
    "HEALTH_CHECK_TIMEOUT": HEALTH_WITHIN,
    "REDIS_OPERATION_TIMEOUT": 1,
    "KAFKA_OPERATION_TIMEOUT": 1,
    "DB_OPERATION_TIMEOUT": 2,
    "CONNECTION_ACQUIRE_TIMEOUT": 2,
    "BATCH_PROCESSING_TIMEOUT": 4,
    "DEADLOCK_CHECK_INTERVAL": 1,
    "KAFKA_CONSUMER_SESSION_TIMEOUT_MS": 6000,
}
LOOK = HEALTH_WITHIN + 3.0
"""Seconds for an endpoint that tells: its limit, a connection given up on the way, and what a busy machine adds."""
ACT = 12.0
"""Seconds for one that does something: a connection, some statements that are given up, and their cancelling."""
BACK_WITHIN = 40.0
NAMED_WITHIN = 15.0


@dataclass(frozen=True)
class Component:
    """`culprit`: its name in /health. `serves`: commands are executed without it."""

    culprit: str
    serves: bool
    hang: Callable[[], object]
    wake: Callable[[], object]
    kill: Callable[[], object]
    revive: Callable[[], object]


@dataclass(frozen=True)
class Stage:
    installation: Installation
    http: BankOverHttp
    components: dict[str, Component]
    token: str
    account: str

    def deposit(self) -> Answer:
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": secrets.token_hex(8)}
        body = {"amount": "1.00", "currency": "EUR"}
        return self.http.call(f"/api/v1/accounts/{self.account}/deposits", body, headers=headers, within=60)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    require_kafka()
    folder = tmp_path_factory.mktemp("components")
    postgres, redis, kafka = PostgresServer(folder), RedisServer(folder), RunningBroker(folder / "broker")
    try:
        kafka.begin()
        redis.start()
        postgres.make()
        kafka.wait_until_it_answers()
        environment = {name: str(value) for name, value in LIMITS.items()}
        servers = {**postgres.settings(), "REDIS_URL": redis.url, **kafka.settings, "KAFKA_ENABLED": "true"}
        with installed("run_relay", "consume_events --workers 1", "run_monitor", **environment, **servers) as bank:
            yield _stage(bank, postgres, redis, kafka)
    finally:
        redis.kill()
        postgres.stop()
        kafka.kill()


def _stage(bank: Installation, postgres: PostgresServer, redis: RedisServer, kafka: RunningBroker) -> Stage:
    components = {
        "redis": Component("redis", True, redis.pause, redis.resume, redis.kill, redis.start),
        "kafka": Component(
            "kafka",
            True,
            lambda: kafka.signal(signal.SIGSTOP),
            lambda: kafka.signal(signal.SIGCONT),
            kafka.kill,
            kafka.begin,
        ),
        "postgres": Component(
            "database",
            False,
            lambda: postgres.signal(signal.SIGSTOP),
            lambda: postgres.signal(signal.SIGCONT),
            postgres.kill,
            postgres.start,
        ),
    }
    token = bank.manage("issue_api_key", "customer").stdout.strip()
    http = BankOverHttp(bank.url)
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "open"}
    opened = http.call("/api/v1/accounts", {"owner": "Ann", "currency": "EUR"}, headers=headers)
    return Stage(bank, http, components, token, str(opened.body["accounts"][0]["id"]))


@pytest.mark.timeout(150)
@pytest.mark.parametrize("how", ["hung", "dead"])
@pytest.mark.parametrize("name", ["redis", "kafka", "postgres"])
def test_everything_answers_the_culprit_is_named_and_service_resumes(stage: Stage, name: str, how: str) -> None:
    component = stage.components[name]
    wait_until(lambda: stage.deposit().status == 200, BACK_WITHIN, pause=0.2)
    until_well(stage, component)

    (component.hang if how == "hung" else component.kill)()
    try:
        wait_until(lambda: component.culprit in culprits(stage), NAMED_WITHIN, pause=0.2)
        assert slow_endpoints(stage) == {}
        began = time.monotonic()
        told = stage.deposit()
        assert time.monotonic() - began < ACT
        assert (told.status == 200) is component.serves
        assert told.status in (200, 503)
    finally:
        (component.wake if how == "hung" else component.revive)()

    wait_until(lambda: stage.deposit().status == 200, BACK_WITHIN, pause=0.2)
    until_well(stage, component)
    assert stage.installation.process("web").poll() is None


def culprits(stage: Stage) -> list[str]:
    answer = stage.installation.call("/health", within=LOOK + 10)
    assert answer.status in (200, 503)
    named: list[str] = answer.json()["culprits"]
    return named


def until_well(stage: Stage, component: Component) -> None:
    deadline = time.monotonic() + BACK_WITHIN
    while (told := stage.http.component(component.culprit))["status"] == "unhealthy":
        assert time.monotonic() < deadline, told
        time.sleep(0.2)


def slow_endpoints(stage: Stage) -> dict[str, tuple[int, float]]:
    """Those that do not answer in their time, with status and seconds; a handful is asked at once."""

    def ask(entry: tuple[str, str]) -> tuple[int, float]:
        answer = stage.installation.call(entry[1], entry[0], within=ACT + 20)
        return answer.status, answer.seconds

    entries = [(endpoint.method, endpoint.path) for endpoint in ENDPOINTS]
    with ThreadPoolExecutor(4) as pool:
        found = dict(zip(entries, pool.map(ask, entries), strict=True))
    return {
        f"{method} {path}": (status, seconds)
        for (method, path), (status, seconds) in found.items()
        if status not in (200, 503) or seconds > (LOOK if method == "GET" else ACT)
    }
