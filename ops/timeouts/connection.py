"""A connection to PostgreSQL on which nothing waits for ever.

The server's own limits (statement_timeout and its kin) end what takes too long, and leave the connection sound. They
do nothing where the server itself hangs or the network swallows its answers: then this end gives up, a little later,
and the connection is closed.
"""

import time
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg.abc import PQGen
from psycopg.rows import Row, TupleRow

from ops.conf import get_settings
from ops.process import application_name
from ops.timeouts.attempts import outcome_of, record
from ops.timeouts.deadline import time_left

RV = TypeVar("RV")
GRACE = 2.0
"""Seconds that the server gets beyond its own limit, to say itself that the time is up."""
SENDING = 20e-6
"""Seconds below which nothing was waited for: in a pipeline a statement is sent now and answered later."""
CANCEL_WITHIN = 1.0
"""Seconds; where the caller's own time is up as well, a part of it: of many connections each is given up so."""
CANCEL_AT_LEAST = 0.2
_INTERVAL = 0.1


class NoAnswer(psycopg.OperationalError):
    """The server did not answer in time; the connection is closed. What had been sent may have happened."""


class BoundedConnection(psycopg.Connection[Row]):
    """Waits for an answer no longer than DB_OPERATION_TIMEOUT and some grace, or than `ops.timeouts.within` says.
    Every exchange is counted for the component "database"."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.statements: set[bytes] = set()
        """Names of those that `ops.database.exchange` has prepared on it."""

    def wait(self, gen: PQGen[RV], interval: float = _INTERVAL, timeout: float | None = None) -> RV:
        started = time.perf_counter()
        limit = time_left(get_settings().db_operation_timeout + GRACE) if timeout is None else timeout
        try:
            result = super().wait(gen, interval, limit)
        except errors._WaitTimeout as error:
            if timeout is not None:
                raise  # the caller's own limit, which is no failure
            record("database", "timeout", time.perf_counter() - started)
            self._give_up()
            raise NoAnswer(f"the database gave no answer within {limit:.1f} s") from error
        except Exception as error:
            record("database", outcome_of(error), time.perf_counter() - started)
            raise
        took = time.perf_counter() - started
        if took > SENDING:
            record("database", "ok", took)
        return result

    def _give_up(self) -> None:
        """Asks the server to end the statement, so that it lets go of its locks, and closes this end. A pool that
        lent the connection is told: see `ops.timeouts.outage`."""
        if (pool := getattr(self, "_pool", None)) is not None:
            pool.guard.found_dead()
        with suppress(psycopg.Error):  # where it hangs, it will notice later that the connection is gone
            self.cancel_safe(timeout=max(CANCEL_AT_LEAST, time_left(CANCEL_WITHIN)))
        self.pgconn.finish()


def connect(**parameters: Any) -> BoundedConnection[TupleRow]:
    """A connection outside of any pool."""
    return BoundedConnection[TupleRow].connect(**parameters)


def own_database() -> dict[str, Any]:
    """libpq's parameters of the bank's own database, for a connection outside of Django's."""
    settings = get_settings()
    config = settings.database_parameters()
    return settings.database_options() | {
        "dbname": config["NAME"],
        "user": config["USER"],
        "password": config["PASSWORD"],
        "host": config["HOST"],
        "port": config["PORT"],
    }


def connect_apart(part: str, **parameters: Any) -> BoundedConnection[TupleRow]:
    """One to the bank's own database, in autocommit, for a part of this process that must not depend on the pool;
    `part` ends the name by which PostgreSQL lists it."""
    return connect(
        **own_database(),
        application_name=f"{application_name()}:{part}"[:63],
        autocommit=True,
        **parameters,
    )
