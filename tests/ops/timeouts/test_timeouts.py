"""Each of the six time limits bounds its component, also when the other side hangs without a word."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from confluent_kafka import KafkaException
from django.db import OperationalError, connection
from django_redis import get_redis_connection
from prometheus_client import REGISTRY
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import PoolTimeout

from accounts.domain.commands import Deposit
from accounts.domain.money import Money
from accounts.services import Executed, execute, executor
from eventstore.errors import StoreBusy
from eventstore.kafka import clients, topics
from ops import timeouts
from ops.breaker import states
from ops.cache.wiring import ALIAS
from ops.conf import get_settings
from ops.database.pool import Pool, check_connection
from ops.timeouts import attempts, within
from ops.timeouts import connection as bounded
from ops.timeouts.connection import BoundedConnection, NoAnswer
from ops.timeouts.outage import is_outage
from tests.bank import Bank
from tests.faults.redis_server import RedisServer
from tests.ops.operators import Operator
from tests.outages import halted, may_halt


def counted(component: str, what: str) -> float:
    """Since this process began: a count over a window would lose old ones between two looks."""
    return REGISTRY.get_sample_value("component_calls_total", {"component": component, "outcome": what}) or 0.0


@contextmanager
def taking(least: float, most: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert least <= time.monotonic() - started <= most


@pytest.fixture
def session(db: None) -> Iterator[psycopg.Connection]:
    with BoundedConnection.connect(os.environ["DATABASE_URL"], autocommit=True) as conn:
        yield conn


def test_the_server_ends_a_statement_after_db_operation_timeout(db: None) -> None:
    before = counted("database", "timeout")
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == (f"{get_settings().db_operation_timeout}s",)
        cursor.execute("SET statement_timeout = 100")
        with taking(0.05, 3), pytest.raises(OperationalError, match="statement timeout"):
            cursor.execute("SELECT pg_sleep(5)")
        cursor.execute("RESET statement_timeout")
        cursor.execute("SELECT 1")
    assert counted("database", "timeout") == before + 1


def test_a_server_that_hangs_is_given_up_after_db_operation_timeout(
    session: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "GRACE", 1 - get_settings().db_operation_timeout)  # one second in all
    monkeypatch.setattr(bounded, "CANCEL_WITHIN", 0.5)
    assert may_halt(session.info.backend_pid)
    before = counted("database", "timeout")

    with halted(session.info.backend_pid), taking(0.9, 4), pytest.raises(NoAnswer, match=r"within 1\.0 s"):
        session.execute("SELECT 1")

    assert session.closed
    assert counted("database", "timeout") == before + 1


def test_a_deadline_is_shared_by_all_statements_of_its_block(session: psycopg.Connection) -> None:
    def nap_a_hundred_times() -> None:
        for _ in range(100):
            session.execute("SELECT pg_sleep(0.2)")

    with taking(0.4, 3), within(0.5), pytest.raises(NoAnswer):
        nap_a_hundred_times()
    assert session.closed


def test_an_outer_deadline_holds_inside_of_a_later_one() -> None:
    with within(0.2), within(60):
        assert timeouts.time_left(30) <= 0.2
    assert timeouts.time_left(30) == 30


def test_a_batch_ends_after_batch_processing_timeout_and_has_done_nothing(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = bank.open("1.00")
    config = get_settings().model_copy(update={"batch_processing_timeout": 1})
    monkeypatch.setattr(executor, "get_settings", lambda: config)
    before, timed_out = bank.footprint(), counted("batch", "timeout")
    envelope = bank.envelope(Deposit(ann, Money(100, "EUR")), key="late")
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as holder:
        holder.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (ann,))
        with taking(0.9, 4), pytest.raises(StoreBusy, match="no commit had been sent"):
            execute([envelope])
        holder.rollback()
    time.sleep(0.2)

    assert bank.footprint() == before
    assert counted("batch", "timeout") == timed_out + 1
    [outcome] = execute([envelope])
    assert isinstance(outcome, Executed)
    assert not outcome.replayed, "the same key tells that it had not happened"


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for one in held:
            one.close()


def test_kafka_is_given_up_after_kafka_operation_timeout(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    config = get_settings().model_copy(
        update={"kafka_operation_timeout": 1, "kafka_bootstrap_servers": f"127.0.0.1:{silent_port}"}
    )
    for module in (clients, topics):
        monkeypatch.setattr(module, "get_settings", lambda: config)
    before = counted("kafka", "timeout")

    with taking(0.5, 5), pytest.raises(KafkaException):
        topics.ensure_topics(4)

    assert counted("kafka", "timeout") == before + 1


def test_redis_is_given_up_after_redis_operation_timeout(
    operator: Operator, settings: object, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ops.health import memory

    config = get_settings().model_copy(update={"redis_operation_timeout": 1})
    monkeypatch.setattr(memory, "get_settings", lambda: config)
    caches = settings.CACHES  # type: ignore[attr-defined]
    settings.CACHES = {**caches, "default": {**caches["default"], "LOCATION": redis_server.url}}  # type: ignore[attr-defined]
    assert operator.component("redis")["status"] == "healthy"
    before = counted("redis", "timeout")
    redis_server.pause()

    with taking(0.9, 4):
        hung = operator.component("redis")
    redis_server.resume()

    assert (hung["status"], hung["reason"]) == ("unhealthy", "does not answer: TimeoutError")
    assert counted("redis", "timeout") > before
    assert operator.component("redis")["status"] == "healthy", "service resumes by itself"


def test_the_cache_is_given_up_after_cache_operation_timeout(db: None) -> None:
    pool = get_redis_connection(ALIAS).connection_pool
    limit = get_settings().cache_redis_timeout
    assert limit <= get_settings().cache_operation_timeout
    assert pool.connection_kwargs["socket_timeout"] == limit
    before = counted("cache", "timeout")

    from accounts.cache import accounts_cache

    with taking(0, 10 * limit + 1):
        answer = accounts_cache().shared.attempt(lambda client: client.blpop(["nobody-writes-this"], timeout=5))

    assert answer is None
    assert counted("cache", "timeout") == before + 1


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (TimeoutError(), "timeout"),
        (psycopg.errors.QueryCanceled(), "timeout"),
        (psycopg.errors.LockNotAvailable(), "timeout"),
        (psycopg.errors.DeadlockDetected(), "error"),
        (ConnectionRefusedError(), "error"),
        (ValueError(), "ok"),
        (psycopg.errors.UniqueViolation(), "ok"),
    ],
)
def test_a_timeout_is_told_from_a_failure_and_from_an_answer(error: Exception, outcome: str) -> None:
    assert attempts.outcome_of(error) == outcome
    wrapped = StoreBusy("busy")
    wrapped.__cause__ = error
    assert attempts.outcome_of(wrapped) == outcome


def test_while_postgresql_is_gone_callers_are_told_at_once_and_service_resumes_by_itself(db: None) -> None:
    right = conninfo_to_dict(os.environ["DATABASE_URL"])
    parameters = {**right, "connect_timeout": 2}
    limits = {"min_size": 0, "max_size": 2, "timeout": 1.5, "reconnect_timeout": 2.0}
    with Pool(kwargs=parameters, connection_class=BoundedConnection, open=True, **limits) as pool:
        pool.putconn(pool.getconn())
        pool.drain()
        parameters["port"] = 9
        for _ in range(2):
            with taking(1, 4), pytest.raises(psycopg.OperationalError):
                pool.getconn()
        with taking(0, 0.2), pytest.raises(psycopg.OperationalError, match="left alone"):
            pool.getconn()
        assert states()["database"] in ("open", "half_open")

        parameters["port"] = right["port"]
        deadline = time.monotonic() + 10
        while not _gives_a_connection(pool):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert pool.guard.breaker.state.name == "CLOSED"


def test_an_exhausted_pool_is_no_outage(db: None) -> None:
    parameters = conninfo_to_dict(os.environ["DATABASE_URL"])
    with Pool(kwargs=parameters, min_size=0, max_size=1, timeout=0.1, open=True) as pool:
        taken = pool.getconn()
        for _ in range(4):
            with pytest.raises(PoolTimeout):
                pool.getconn()
        pool.putconn(taken)
        assert _gives_a_connection(pool)


def test_a_wait_in_vain_is_an_outage_once_a_statement_gave_no_answer_and_none_did_since(db: None) -> None:
    """The attempts to connect hang as well, and none of them has failed yet."""
    right = conninfo_to_dict(os.environ["DATABASE_URL"])
    parameters = {**right, "connect_timeout": 30}
    limits = {"min_size": 0, "max_size": 1, "timeout": 0.3}
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        Pool(kwargs=parameters, connection_class=BoundedConnection, open=True, **limits) as pool,
    ):
        lent = pool.getconn()
        with pytest.raises(PoolTimeout):
            pool.getconn()
        parameters["port"] = silent.getsockname()[1]
        with pytest.raises(NoAnswer), within(0.2):
            lent.execute("SELECT pg_sleep(10)")
        pool.putconn(lent)

        with pytest.raises(psycopg.OperationalError, match="cannot be reached") as told:
            pool.getconn()
        assert is_outage(told.value)


def test_to_be_handed_out_unasked_is_no_sign_of_life(db: None) -> None:
    """A connection that was in use a moment ago is not checked, and where the server hangs it is quiet as well."""
    parameters = conninfo_to_dict(os.environ["DATABASE_URL"])
    limits = {"min_size": 0, "max_size": 2, "timeout": 0.3, "check": check_connection}
    with Pool(kwargs=parameters, connection_class=BoundedConnection, open=True, **limits) as pool:
        lent, other = pool.getconn(), pool.getconn()
        pool.putconn(other)
        with pytest.raises(NoAnswer), within(0.1):
            lent.execute("SELECT pg_sleep(10)")
        assert pool.getconn() is other, "it came back less than a second ago"
        with pytest.raises(psycopg.OperationalError, match="cannot be reached"):
            pool.getconn()

        pool.putconn(other)
        assert pool.getconn() is other
        with pytest.raises(PoolTimeout):
            pool.getconn()
        pool.putconn(other)
        pool.putconn(lent)


def test_a_statement_that_gave_no_answer_is_no_outage_once_a_connection_gave_one(db: None) -> None:
    parameters = conninfo_to_dict(os.environ["DATABASE_URL"])
    limits = {"min_size": 0, "max_size": 1, "timeout": 0.3, "check": check_connection}
    with Pool(kwargs=parameters, connection_class=BoundedConnection, open=True, **limits) as pool:
        lent = pool.getconn()
        with pytest.raises(NoAnswer), within(0.2):
            lent.execute("SELECT pg_sleep(10)")
        pool.putconn(lent)
        taken = pool.getconn(timeout=5)
        with pytest.raises(PoolTimeout):
            pool.getconn()
        pool.putconn(taken)


def _gives_a_connection(pool: Pool) -> bool:
    try:
        pool.putconn(pool.getconn())
    except psycopg.OperationalError:
        return False
    return True
