"""The pool of connections: who holds which, since when, from where in the code; and how large the pool should be."""

import select
import sys
import threading
import time
from functools import partial
from types import CodeType, FrameType
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from ops.timeouts import time_left, within
from ops.timeouts.outage import Guard

SOUND_FOR = 1.0
"""Seconds for which a connection that was returned sound is taken for sound."""
CHECKED_WITHIN = 5.0
"""Seconds in which a connection has to answer to be sound; and all others of the pool, where one was not."""
FRAMES_KEPT = 40
"""Of the code that takes a connection. A request passes about sixty, of which the nearest tell who it is."""


def check_connection(connection: psycopg.Connection[Any]) -> None:
    """The pool's check of a connection before it is handed out, unless it was in use a moment ago: the check is a
    round trip, which would be half of a short command.

    One dead connection is seldom alone: after a restart of the server all of them are. The pool would find them one
    by one, pausing a little longer after each (12 s for 20), so the first to be found has the rest looked through.
    """
    if time.monotonic() - getattr(connection, "returned_at", 0.0) < SOUND_FOR and is_quiet(connection):
        return
    pool = connection._pool
    assert isinstance(pool, Pool)
    try:
        with within(CHECKED_WITHIN):
            ConnectionPool.check_connection(connection)
    except psycopg.Error:
        pool.guard.found_dead()
        with within(CHECKED_WITHIN):
            pool.check()
        raise
    pool.guard.found_sound()


def is_quiet(connection: psycopg.Connection[Any]) -> bool:
    """A server that has ended the session, or goes down, has said so: then there is something to read."""
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)


class Checkout:
    """A connection in somebody's hands. The stack is kept as code objects, which costs some microseconds, and is
    put into words when somebody asks: it holds no variables, hence neither secrets nor parameters."""

    __slots__ = ("busy_since", "code", "connection", "since", "thread", "thread_name")

    def __init__(self, connection: psycopg.Connection[Any], frame: FrameType | None) -> None:
        thread = threading.current_thread()
        self.connection = connection
        self.since = time.time()
        self.busy_since: float | None = None
        """Since when it has been seen in a transaction without a break, by the looks of once a second."""
        self.thread = thread
        self.thread_name = thread.name
        self.code: list[tuple[CodeType, int]] = []
        while frame is not None and len(self.code) < FRAMES_KEPT:
            self.code.append((frame.f_code, frame.f_lasti))
            frame = frame.f_back


class Pool(ConnectionPool[psycopg.Connection[Any]]):
    """psycopg's pool, which knows what it has handed out."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.checkouts: dict[int, Checkout] = {}
        self.guard = Guard(self)

    def getconn(self, timeout: float | None = None) -> psycopg.Connection[Any]:
        patience = time_left(self.timeout if timeout is None else timeout)
        connection = self.guard.take(partial(super().getconn, patience))
        self.checkouts[id(connection)] = Checkout(connection, sys._getframe(1))
        return connection

    def putconn(self, conn: psycopg.Connection[Any]) -> None:
        checkout = self.checkouts.pop(id(conn), None)
        conn.returned_at = time.monotonic()  # type: ignore[attr-defined]
        if not conn.closed:
            self.guard.found_sound()
        try:
            super().putconn(conn)
        except BaseException:
            if checkout is not None:  # it stayed where it was
                self.checkouts[id(conn)] = checkout
            raise
