"""Leaving PostgreSQL alone while it cannot be reached, so that callers are told at once instead of after the wait for
a connection that cannot come.

A pool that is merely exhausted is no outage: only when its attempts to connect have been failing, or a connection was
found dead and none was found sound since, is a wait in vain counted against the breaker. What opens it again is a
connection of the breaker's own.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from ops.breaker import CircuitBreaker, CircuitOpen
from ops.timeouts.attempts import record
from ops.timeouts.connection import NoAnswer, connect
from ops.timeouts.deadline import within

C = TypeVar("C")
PROBE_WITHIN = 2.0
GOING_DOWN = ("57P01", "57P02", "57P03")
"""SQLSTATEs: the server is being shut down, has crashed, or is not up yet."""


class Unreachable(psycopg.OperationalError):
    """No connection to PostgreSQL; nothing was asked of it."""


class Guard:
    """One for each pool."""

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool
        self._errors = 0
        self._dead_at = 0.0
        self._sound_at = 0.0
        """When a connection gave no answer, and when one did; by `time.monotonic`."""
        self.breaker = CircuitBreaker(
            "database", on=(Unreachable,), probe=self._probe, failures=2, window=2 * pool.timeout + 10, pause=1.0
        )

    def found_dead(self) -> None:
        """A connection of the pool gave no answer."""
        self._dead_at = time.monotonic()

    def found_sound(self) -> None:
        """A connection gave one, or came back after use. To be handed out is no proof: one that was in use a moment
        ago is not asked again, and says nothing where the server hangs."""
        self._sound_at = time.monotonic()

    def take(self, getconn: Callable[[], C]) -> C:
        """What `getconn` returns.

        Raises:
            PoolTimeout: all connections are in use.
            Unreachable: there are none to be had.
        """
        try:
            return self.breaker.call(lambda: self._take(getconn))
        except CircuitOpen as error:
            raise Unreachable("the database has been out of reach and is left alone for now") from error

    def _take(self, getconn: Callable[[], C]) -> C:
        started = time.perf_counter()
        try:
            return getconn()
        except PoolTimeout as error:
            record("database", "timeout", time.perf_counter() - started)
            known, self._errors = self._errors, self._pool.get_stats().get("connections_errors", 0)
            if self._errors > known or self._dead_at > self._sound_at:
                raise Unreachable("the database cannot be reached") from error
            raise

    def _probe(self) -> None:
        parameters: dict[str, Any] = {**(self._pool.kwargs or {}), "connect_timeout": int(PROBE_WITHIN)}  # type: ignore[dict-item]
        with within(PROBE_WITHIN), connect(**parameters) as connection:
            connection.execute("SELECT 1")


def is_outage(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from, says that PostgreSQL is out of reach or gives no answer; not
    that it is busy, or refuses."""
    while error is not None:
        if isinstance(error, NoAnswer | Unreachable):
            return True
        if isinstance(error, psycopg.OperationalError) and not isinstance(error, PoolTimeout):
            return error.sqlstate is None or error.sqlstate in GOING_DOWN or error.sqlstate.startswith("08")
        error = error.__cause__
    return False
