"""Leaving PostgreSQL alone while it cannot be reached, so that callers are told at once instead of after the wait for
a connection that cannot come.

A pool that is merely exhausted is no outage: only when its attempts to connect have been failing is a wait in vain
counted against the breaker. What opens it again is a connection of the breaker's own.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from ops.breaker import CircuitBreaker, CircuitOpen
from ops.timeouts.attempts import record
from ops.timeouts.connection import connect
from ops.timeouts.deadline import within

C = TypeVar("C")
PROBE_WITHIN = 2.0


class Unreachable(psycopg.OperationalError):
    """No connection to PostgreSQL; nothing was asked of it."""


class Guard:
    """One for each pool."""

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool
        self._errors = 0
        self.breaker = CircuitBreaker(
            "database", on=(Unreachable,), probe=self._probe, failures=2, window=2 * pool.timeout + 10, pause=1.0
        )

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
            if self._errors > known:
                raise Unreachable("the database cannot be reached") from error
            raise

    def _probe(self) -> None:
        parameters: dict[str, Any] = {**(self._pool.kwargs or {}), "connect_timeout": int(PROBE_WITHIN)}  # type: ignore[dict-item]
        with within(PROBE_WITHIN), connect(**parameters) as connection:
            connection.execute("SELECT 1")
