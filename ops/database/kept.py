"""A thread for work that comes in bursts, which keeps its database connection for a moment after each piece.

To take a connection from the pool and to return it costs about as much as deciding a command. Kept for a moment, it
is there for the next piece; and nobody who waits for one waits longer than that.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

import psycopg
import structlog
from django.db import close_old_connections, connections

from ops.database.pool import is_quiet

KEPT_FOR = 0.02
"""Seconds after a piece of work, where no other comes."""
KEPT_AT_MOST = 1.0
"""Seconds for which pieces that follow one another share a connection: the pool is to see it now and then, which
replaces what is old and drops what is dead."""

_log = structlog.get_logger(__name__)


class KeepingThread:
    """One thread, in which pieces of work run in the order in which they were submitted."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._pieces: SimpleQueue[tuple[Callable[..., None], tuple[Any, ...]]] = SimpleQueue()
        self._lock = threading.Lock()
        self._at_work = False
        """Whether the thread takes what is put into the queue: a pool's own way to its thread is several times
        longer, so a burst goes that way once."""

    def submit(self, work: Callable[..., None], *arguments: Any) -> None:
        """Runs `work` in the thread. Waits for nothing; what it raises is logged."""
        with self._lock:
            self._pieces.put((work, arguments))
            starts, self._at_work = not self._at_work, True
        if starts:
            self._thread.submit(self._run)

    def _run(self) -> None:
        since = time.monotonic()
        while (piece := self._next()) is not None:
            if time.monotonic() - since > KEPT_AT_MOST or not _are_quiet():
                _let_go()
                since = time.monotonic()
            work, arguments = piece
            try:
                work(*arguments)
            except BaseException:  # as in a pool's threads: whatever one piece raises, the next ones are run
                _log.exception("piece_of_work_failed", thread=threading.current_thread().name)
        _let_go()

    def _next(self) -> tuple[Callable[..., None], tuple[Any, ...]] | None:
        """None: nothing has come for a while, and what comes now starts the thread anew."""
        with suppress(Empty):
            return self._pieces.get(timeout=KEPT_FOR)
        with self._lock:
            if self._pieces.empty():
                self._at_work = False
                return None
        return self._pieces.get()


def _are_quiet() -> bool:
    """Whether the server has ended none of the connections that the thread keeps."""
    opened = connections.all(initialized_only=True)
    with suppress(psycopg.Error):
        return all(each.connection is None or is_quiet(each.connection) for each in opened)
    return False


def _let_go() -> None:
    """What the thread keeps goes to the pool, as after each of Django's requests."""
    try:
        close_old_connections()
    except Exception:
        _log.exception("connection_not_returned", thread=threading.current_thread().name)
