"""One transaction's talk with PostgreSQL in few round trips, straight through libpq.

psycopg's cursors and pipeline do the same in ten times the processor time (some 200 µs for three statements, 20 to 30
here), which for a small batch of commands is more than deciding them. What is left out is what a cursor does with
types: a statement takes its parameters as text, or as bytes in PostgreSQL's binary form, and answers with rows of
bytes.

Statements are prepared once on each connection, and stay. So psycopg must prepare none of its own
(prepare_threshold is None): at a rollback, for one, it would drop them all.
"""

from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple

import psycopg
from psycopg import errors, generators, pq
from psycopg.abc import PQGen
from psycopg.waiting import Ready, Wait

from ops.timeouts.connection import BoundedConnection

STATEMENTS_KEPT = 64
"""Most statements that are prepared on each connection: they are written in the code, and are few."""
_numbers = count(1)


class Answer:
    """What a statement that was sent will answer."""

    __slots__ = ("_exchange", "_result", "prepares")

    def __init__(self, exchange: "Exchange", prepares: bytes | None = None) -> None:
        self._exchange = exchange
        self._result: pq.abc.PGresult | None = None
        self.prepares = prepares
        """The name of the prepared statement that exists once this is answered."""

    def settle(self, result: pq.abc.PGresult) -> None:
        self._result = result

    def value(self) -> bytes | None:
        """The first value of the first row, as text; None for NULL, and where there is no row.

        Raises:
            psycopg.Error: of this statement, or of one before it; the transaction is lost.
        """
        if self._result is None:
            self._exchange.receive(self)
        assert self._result is not None
        return self._result.get_value(0, 0) if self._result.ntuples else None

    def rows(self) -> list[list[Any]]:
        """All of its rows, each value as bytes, or None for NULL. Raises as `value`."""
        if self._result is None:
            self._exchange.receive(self)
        assert self._result is not None
        value, columns = self._result.get_value, range(self._result.nfields)
        return [[value(row, column) for column in columns] for row in range(self._result.ntuples)]


Parameter = str | bytes | None
"""Text, or PostgreSQL's binary form, or NULL."""


class Part(NamedTuple):
    """A statement that changes rows and returns none, to be part of a larger one; %s stands for each parameter."""

    sql: str
    parameters: tuple[Parameter, ...]


class Exchange:
    """A transaction on a connection of its own. Statements are sent together, and answered when one is asked for."""

    def __init__(self, connection: BoundedConnection) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._awaited: deque[Answer] = deque()
        self._preparing: set[bytes] = set()
        """Names of statements that it has had prepared; whether they are is known once that is answered."""
        self._is_asked = True
        """Whether the server was asked to answer all that was sent so far."""
        self._lost: psycopg.Error | None = None

    def begin(self) -> None:
        self._pgconn.enter_pipeline_mode()
        self.send("BEGIN")

    def send(self, sql: str, parameters: Sequence[Parameter] = (), *, binary: bool = False) -> Answer:
        """`sql` with $1, $2 and so on; it is prepared where it comes for the first time. `binary`: it answers in
        PostgreSQL's binary form rather than in text."""
        name = _name_of(sql)
        if name not in self._preparing and _is_new(name, self._connection):
            self._preparing.add(name)
            self._pgconn.send_prepare(name, sql.encode())
            self._awaited.append(Answer(self, name))
        self._pgconn.send_query_prepared(name, *_encoded(parameters), int(binary))
        answer = Answer(self)
        self._awaited.append(answer)
        self._is_asked = False
        return answer

    def receive(self, last: Answer) -> None:
        """Waits until `last` is answered, no longer than the connection waits for anything."""
        if self._lost is not None:
            raise self._lost
        if not self._is_asked:
            self._pgconn.send_flush_request()
            self._is_asked = True
        self._connection.wait(self._exchanging(last))

    def flush(self) -> None:
        """Hands over what was sent, as far as the network takes it, and waits for nothing."""
        self._pgconn.flush()

    def commit(self) -> None:
        """
        Raises:
            psycopg.Error: of any statement that was not answered yet; nothing is committed.
        """
        self.send("COMMIT")
        self._synchronise()
        if self._lost is not None:
            raise self._lost

    def abandon(self) -> None:
        """Rolls back what is open, and leaves the connection fit for use. One that is not is closed: then the server
        rolls back."""
        try:
            if self._pgconn.pipeline_status != pq.PipelineStatus.OFF:
                self._synchronise()
            if self._pgconn.transaction_status != pq.TransactionStatus.IDLE:
                self._connection.rollback()
        except psycopg.Error:
            self._connection.close()

    def _synchronise(self) -> None:
        self._pgconn.pipeline_sync()
        self._connection.wait(self._exchanging(None))
        self._pgconn.exit_pipeline_mode()

    def _exchanging(self, last: Answer | None) -> PQGen[None]:
        """Sends what waits to be sent and reads answers: up to `last`, or up to the synchronisation for None."""
        yield from self._sending()
        ended = False
        while True:
            while self._pgconn.is_busy():
                yield Wait.R
                self._pgconn.consume_input()
            result = self._pgconn.get_result()
            if result is None:
                if ended:
                    raise psycopg.InterfaceError("the server has sent fewer answers than it was asked for")
                ended = True
                continue
            ended = False
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                return
            answer = self._settle(result)
            if self._lost is not None and last is not None:
                raise self._lost
            if answer is last:
                return

    def _sending(self) -> PQGen[None]:
        while self._pgconn.flush():
            ready = yield Wait.RW
            if ready & Ready.R:  # the server may have to be heard before it listens again
                self._pgconn.consume_input()

    def _settle(self, result: pq.abc.PGresult) -> Answer:
        if not self._awaited:  # the server's farewell, as when it is being stopped
            raise _error(result, self._connection)
        answer = self._awaited.popleft()
        if result.status in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
            if answer.prepares is not None:
                self._connection.statements.add(answer.prepares)
            answer.settle(result)
        elif self._lost is None:  # of those that come after it the server only says that they were skipped
            self._lost = _error(result, self._connection)
        return answer


def ask(connection: BoundedConnection, sql: str, parameters: Sequence[Parameter] = ()) -> bytes | None:
    """The first value of the first row that one statement answers; None for NULL, and where there is no row.

    Raises:
        psycopg.Error: what went wrong.
    """
    name = _name_of(sql)
    if _is_new(name, connection):
        connection.pgconn.send_prepare(name, sql.encode())
        _receive(connection)
        connection.statements.add(name)
    connection.pgconn.send_query_prepared(name, *_encoded(parameters))
    result = _receive(connection)
    return result.get_value(0, 0) if result.ntuples else None


def _receive(connection: BoundedConnection) -> pq.abc.PGresult:
    *_, result = connection.wait(generators.execute(connection.pgconn))
    if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
        raise _error(result, connection)
    return result


def _error(result: pq.abc.PGresult, connection: BoundedConnection) -> psycopg.Error:
    error = errors.error_from_result(result)
    if isinstance(error, errors.InvalidSqlStatementName):  # somebody has dropped them: the next use makes them anew
        connection.statements.clear()
    return error


def _is_new(name: bytes, connection: BoundedConnection) -> bool:
    if name in connection.statements:
        return False
    if len(connection.statements) >= STATEMENTS_KEPT:
        raise RuntimeError(f"more than {STATEMENTS_KEPT} statements: is one of them made from values?")
    return True


def _encoded(parameters: Sequence[Parameter]) -> tuple[list[bytes | None], list[int]]:
    """As libpq takes them: the values, and the form of each."""
    values = [each.encode() if isinstance(each, str) else each for each in parameters]
    return values, [int(isinstance(each, bytes)) for each in parameters]


@lru_cache(maxsize=4 * STATEMENTS_KEPT)
def _name_of(sql: str) -> bytes:
    return f"bankes_{next(_numbers)}".encode()
