"""A look into PostgreSQL from outside of the pool, so that an exhausted pool blinds no detector.

One connection for each process that looks, made at the first look and kept; each look is bounded by `WITHIN` on both
ends, and by a circuit breaker while PostgreSQL does not answer.
"""

import os
import threading
from typing import Any

import psycopg
from psycopg.rows import dict_row

from ops.breaker import CircuitBreaker, CircuitOpen
from ops.database.pool import is_quiet
from ops.timeouts import time_left, within
from ops.timeouts.connection import connect_apart
from ops.timeouts.deadline import is_over

WITHIN = 2.0
"""Seconds."""
SESSION = "-c statement_timeout=1500 -c lock_timeout=500 -c idle_in_transaction_session_timeout=5000"


class CannotLook(Exception):
    """PostgreSQL did not answer in time: nothing is known of its sessions."""


class Eye:
    """The connection, and what guards it. Safe to share between threads: they look one after another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None
        self._breaker = CircuitBreaker(
            "detectors",
            on=(psycopg.OperationalError, psycopg.InterfaceError),
            probe=lambda: self._ask("SELECT 1", ()),
            failures=2,
            window=30.0,
        )

    def rows(self, query: str, parameters: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
        """
        Raises:
            CannotLook: no answer in time, or none lately.
            psycopg.Error: PostgreSQL refused the statement itself.
        """
        try:
            return self._breaker.call(lambda: self._ask(query, parameters))
        except (CircuitOpen, TimeoutError, psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise CannotLook(f"PostgreSQL cannot be looked into: {error}") from error

    def _ask(self, query: str, parameters: tuple[Any, ...]) -> list[dict[str, Any]]:
        if not self._lock.acquire(timeout=time_left(WITHIN)):
            raise TimeoutError("another look is still under way")
        try:
            if is_over():
                raise TimeoutError("the caller's time is up")
            with within(WITHIN):
                return self._connected().execute(query, parameters).fetchall()
        except (psycopg.OperationalError, psycopg.InterfaceError):
            self._close()
            raise
        finally:
            self._lock.release()

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is not None and not is_quiet(self._connection):
            self._close()  # the server has ended the session since the last look: it may have been restarted
        if self._connection is None:
            self._connection = connect_apart("detectors", connect_timeout=2, options=SESSION, row_factory=dict_row)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """The next look opens another."""
        with self._lock:
            self._close()


_eye = Eye()
_parents: list[Eye] = []
"""In a forked child: to close the parent's connection would end the parent's session."""


def _after_fork() -> None:
    global _eye
    _parents.append(_eye)
    _eye = Eye()


os.register_at_fork(after_in_child=_after_fork)


def rows(query: str, parameters: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
    """As `Eye.rows`, with this process's eye."""
    return _eye.rows(query, parameters)


def close() -> None:
    _eye.close()
