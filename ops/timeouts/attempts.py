"""Counting calls to components, and what became of them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import psycopg
import redis
from confluent_kafka import KafkaError, KafkaException
from django.db import InterfaceError, OperationalError
from prometheus_client import Counter
from psycopg import errors
from psycopg_pool import PoolTimeout

from ops import board

Component = Literal["database", "cache", "kafka", "redis", "batch", "projection", "health"]
Outcome = Literal["ok", "timeout", "error"]
COMPONENTS: tuple[Component, ...] = ("database", "cache", "kafka", "redis", "batch", "projection", "health")
"""A batch is one of commands. Batches of events into read models, of which there are several for each command, are
counted apart: they would hide that every other command times out."""
WINDOW = 60
"""Seconds over which rates are taken."""

TIMEOUTS = (
    TimeoutError,
    redis.TimeoutError,
    PoolTimeout,
    errors.QueryCanceled,
    errors.LockNotAvailable,
    errors.IdleInTransactionSessionTimeout,
    errors.ConnectionTimeout,
    errors._WaitTimeout,
)
KAFKA_TIMEOUTS = {
    KafkaError._TIMED_OUT,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
}
"""A broker that is gone shows as a call that is not answered, so it is counted as one."""
FAILURES = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    OperationalError,
    InterfaceError,
    redis.ConnectionError,
    KafkaException,
    OSError,
)
"""The component failed. Any other exception is an answer: a refusal, a broken rule, a bug of ours."""
LONGEST_CHAIN = 5

CALLS = Counter("component_calls_total", "Calls to a component, by what became of them.", ["component", "outcome"])
SECONDS = Counter("component_seconds_total", "Seconds spent in calls to a component.", ["component"])
_calls = {
    (component, outcome): CALLS.labels(component, outcome)
    for component in COMPONENTS
    for outcome in ("ok", "timeout", "error")
}
_seconds = {component: SECONDS.labels(component) for component in COMPONENTS}
_SERIES: dict[Outcome, str] = {"timeout": "timeouts", "error": "errors"}


@dataclass(frozen=True, slots=True)
class Rate:
    """Calls to one component in the last `WINDOW` seconds, by all processes of this machine."""

    attempts: int
    timeouts: int
    errors: int

    @property
    def timeout_rate(self) -> float | None:
        """Timeouts of attempts, 0 to 1; None where nothing was attempted."""
        return self.timeouts / self.attempts if self.attempts else None


@contextmanager
def attempt(component: Component, *, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Counts the block as one call; not so where it ends with an error that says nothing of the component (`but`)."""
    started = time.perf_counter()
    try:
        yield
    except but:
        raise
    except Exception as error:
        record(component, outcome_of(error), time.perf_counter() - started)
        raise
    record(component, "ok", time.perf_counter() - started)


def record(component: Component, outcome: Outcome, seconds: float) -> None:
    """Counts one call that took so long."""
    board.count(f"{component}.attempts")
    if outcome != "ok":
        board.count(f"{component}.{_SERIES[outcome]}")
    _calls[component, outcome].inc()
    _seconds[component].inc(seconds)


def outcome_of(error: BaseException) -> Outcome:
    """What an exception says of the component; the causes that it was raised from count too."""
    failed = False
    found: BaseException | None = error
    for _ in range(LONGEST_CHAIN):
        if found is None:
            break
        if isinstance(found, TIMEOUTS) or _is_kafka_timeout(found):
            return "timeout"
        failed = failed or isinstance(found, FAILURES)
        found = found.__cause__
    return "error" if failed else "ok"


def _is_kafka_timeout(error: BaseException) -> bool:
    return isinstance(error, KafkaException) and error.args[0].code() in KAFKA_TIMEOUTS


def rates() -> dict[Component, Rate]:
    """Of each component, over the last `WINDOW` seconds."""
    names = [f"{component}.{what}" for component in COMPONENTS for what in ("attempts", "timeouts", "errors")]
    counts = board.totals(names, WINDOW)
    return {
        component: Rate(*(counts[f"{component}.{what}"] for what in ("attempts", "timeouts", "errors")))
        for component in COMPONENTS
    }
