"""Sessions of PostgreSQL that stand in each other's way."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection, connections

from ops.board import facts
from ops.detectors import looking
from ops.operations import operation
from tests.bank import Bank


@pytest.fixture(autouse=True)
def own_eye(db: None) -> Iterator[None]:
    """An eye of its own, and no facts of an earlier test."""
    facts.tell()
    facts.tell()
    yield
    looking.close()


@pytest.fixture
def stranger(bank: Bank) -> Iterator[psycopg.Connection]:
    """A session of somebody else in the bank's database."""
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"], application_name="psql") as conn:
        yield conn
        conn.rollback()


class InHand:
    """An operation in a thread of its own that runs one statement in a transaction."""

    def __init__(self, sql: str, timeout: float | None, *, kind: str, sits: bool) -> None:
        self._sql, self._timeout, self._kind, self._sits = sql, timeout, kind, sits
        self._may_end = threading.Event()
        self.begun = threading.Event()
        self.error: BaseException | None = None
        self.pid = 0
        self.thread = threading.Thread(target=self._run, name="in-hand", daemon=True)
        self.thread.start()
        assert self.begun.wait(5)

    def _run(self) -> None:
        try:
            with (
                operation(self._kind, "Slow", timeout=self._timeout, actor="client:slow"),
                connection.cursor() as cursor,
            ):
                self.pid = connection.connection.info.backend_pid
                cursor.execute("BEGIN")
                if self._sits:
                    cursor.execute(self._sql)
                    self.begun.set()
                    self._may_end.wait(20)
                else:
                    self.begun.set()
                    cursor.execute(self._sql)
                cursor.execute("ROLLBACK")
        except BaseException as error:
            self.error = error
        finally:
            connections.close_all()

    def end(self) -> None:
        self._may_end.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


@contextmanager
def in_hand(sql: str, *, timeout: float | None, kind: str = "command", sits: bool = False) -> Iterator[InHand]:
    """`sits`: the statement is done at once, and the transaction stays open."""
    begun = InHand(sql, timeout, kind=kind, sits=sits)
    try:
        yield begun
    finally:
        begun.end()
