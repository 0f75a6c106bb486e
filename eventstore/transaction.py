"""The one kind of transaction that writes the books: short, pipelined, with its errors in the store's words."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID

import orjson
import psycopg
from django.db import connection
from django.db.utils import OperationalError as DjangoOperationalError
from psycopg import errors
from psycopg_pool import PoolTimeout

from eventstore.errors import (
    BrokenHistory,
    ConcurrentIdempotencyKey,
    EventStoreError,
    LockTimeout,
    OptimisticConcurrencyConflict,
    OutcomeUnknown,
    StoreBusy,
)
from ops import board
from ops.database.exchange import Exchange
from ops.timeouts.connection import NoAnswer

VERSION_CONFLICT = "ES001"
COUNTED = {
    VERSION_CONFLICT: "version_conflicts",
    "40P01": "deadlocks",
    "40001": "serialization_failures",
    "55P03": "lock_timeouts",
}
"""SQLSTATEs of lost races, and the series of the board in which each is counted: see `ops.detectors.deadlocks`."""


class TransientFailure(EventStoreError):
    """PostgreSQL chose this transaction to fail (deadlock, serialization), or no longer knew a prepared statement.
    Nothing was written; run it again."""


@contextmanager
def write_transaction(*, patient: bool = True) -> Iterator[Exchange]:
    """A transaction of its own on Django's pooled connection.

    Statements are sent together and answered when a result is asked for, so a command takes two round trips.
    READ COMMITTED: each statement sees what was committed before it started, also after waiting for a lock.

    `patient`: a lock that is not to be had counts as a timeout. Not so for whoever will come back and wait longer.

    Raises:
        StoreBusy: no connection, or no lock, within its time limit; nothing was written.
        OptimisticConcurrencyConflict, ConcurrentIdempotencyKey, TransientFailure: run it again.
        OutcomeUnknown: the connection was lost while the commit may have happened.
        RuntimeError: called inside another transaction, whose rollback could take back an acknowledged event.
    """
    if connection.in_atomic_block:
        raise RuntimeError("commands are executed in a transaction of their own, not inside another one")
    try:
        connection.ensure_connection()
    except DjangoOperationalError as error:
        if isinstance(error.__cause__, PoolTimeout):
            raise StoreBusy("no database connection became free in time") from error
        raise StoreBusy("the database cannot be reached") from error
    raw = connection.connection
    exchange = Exchange(raw)
    committing = False
    try:
        with _ending(exchange):
            exchange.begin()
            yield exchange
            committing = True
            exchange.commit()
    except psycopg.Error as error:
        if raw.closed or raw.broken:
            connection.close()
        if isinstance(error, NoAnswer) and not committing:
            raise StoreBusy("the database gave no answer in time, and no commit had been sent") from error
        told = _in_our_words(error, patient)
        if isinstance(told, OutcomeUnknown) and not committing:
            raise StoreBusy("the connection to the database was lost, and no commit had been sent") from error
        raise told from error
    except OptimisticConcurrencyConflict:
        board.count(COUNTED[VERSION_CONFLICT])
        raise


@contextmanager
def _ending(exchange: Exchange) -> Iterator[None]:
    """A block that fails is rolled back."""
    try:
        yield
    except BaseException:
        exchange.abandon()
        raise


def _in_our_words(error: psycopg.Error, patient: bool) -> Exception:
    if (series := COUNTED.get(error.sqlstate or "")) and (patient or not isinstance(error, errors.LockNotAvailable)):
        board.count(series)
    if error.sqlstate == VERSION_CONFLICT:
        detail = orjson.loads(error.diag.message_detail or "{}")
        return OptimisticConcurrencyConflict(UUID(detail["aggregate_id"]), detail["expected"], detail["actual"])
    if isinstance(error, errors.UniqueViolation):
        if error.diag.table_name == "idempotency_records":
            return ConcurrentIdempotencyKey("the idempotency key is being used by another transaction")
        return BrokenHistory(f"a row that must be unique exists already: {error.diag.message_detail}")
    if isinstance(error, (errors.DeadlockDetected, errors.SerializationFailure, errors.InvalidSqlStatementName)):
        return TransientFailure(str(error))
    if isinstance(error, (errors.LockNotAvailable, errors.QueryCanceled)):
        return LockTimeout("a lock or statement took longer than its time limit")
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return OutcomeUnknown("the connection to the database was lost")
    return error


RETRYABLE: Mapping[type[EventStoreError], str] = {
    OptimisticConcurrencyConflict: "version conflict",
    ConcurrentIdempotencyKey: "concurrent idempotency key",
    TransientFailure: "deadlock or serialization failure",
}
"""Errors after which the same work may be run again at once: nothing was written, and another writer went first."""
