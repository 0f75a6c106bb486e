"""A thread for work that comes in bursts, which keeps its database connection for a moment after each piece.

To take a connection from the pool and to return it costs about as much as deciding a command. Kept for a moment, it
is there for the next piece; and nobody who waits for one waits longer than that.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from django.db import close_old_connections, connections

from ops.database.pool import is_quiet

KEPT_FOR = 0.02
"""Seconds after a piece of work, where no other comes."""
KEPT_AT_MOST = 1.0
"""Seconds for which pieces that follow one another share a connection: the pool is to see it now and then, which
replaces what is old and drops what is dead."""

_opened = partial(connections.all, initialized_only=True)
"""Those of the thread that asks."""


class KeepingThread:
    """One thread, in which pieces of work run in the order in which they were submitted."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._submitted = threading.Semaphore(0)
        """As many as wait to be run."""
        self._since: float | None = None
        """When it began to keep what it has; None: it has nothing."""

    def submit(self, work: Callable[..., None], *arguments: Any) -> None:
        """Runs `work` in the thread. Waits for nothing; nobody hears of what it raises."""
        self._submitted.release()
        self._thread.submit(self._run, work, arguments)

    def _run(self, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self._submitted.acquire()
        if not all(connection.connection is None or is_quiet(connection.connection) for connection in _opened()):
            self._let_go()  # the server has ended it meanwhile
        self._since = self._since or time.monotonic()
        try:
            work(*arguments)
        finally:
            if time.monotonic() - self._since > KEPT_AT_MOST or not self._more_comes():
                self._let_go()

    def _let_go(self) -> None:
        self._since = None
        close_old_connections()  # to the pool, as after each of Django's requests

    def _more_comes(self) -> bool:
        if comes := self._submitted.acquire(timeout=KEPT_FOR):
            self._submitted.release()
        return comes
