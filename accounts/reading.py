"""Accounts that are asked for together are read together, in one statement: for event loops, which cannot wait.

While one read is under way, what is asked for meanwhile waits for the next, as commands do in
`accounts.services.coalescing`. So each answer was read after it was asked for.
"""

import threading
from collections import deque
from collections.abc import Callable
from uuid import UUID

from accounts import cache
from accounts.cache import AccountView
from ops.database.kept import KeepingThread

MOST = 256
"""Accounts in one statement."""

Done = Callable[[AccountView | Exception | None], None]
"""The account as it is now, None if there is none, or what went wrong."""


class Reads:
    """The reads of one process: one is under way at a time, in a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[UUID, Done]] = deque()
        self._busy = False
        self._thread = KeepingThread("reads")

    def begin(self, account_id: UUID, done: Done) -> None:
        """Waits for nothing: `done` is called once, from another thread."""
        with self._lock:
            self._waiting.append((account_id, done))
            if self._busy:
                return
            self._busy = True
        self._thread.submit(self._run)

    def _run(self) -> None:
        with self._lock:
            group = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
        found: dict[UUID, AccountView] = {}
        failed: Exception | None = None
        try:
            found = cache.accounts({account_id for account_id, _ in group})
        except Exception as error:
            failed = error
        for account_id, done in group:
            done(failed or found.get(account_id))
        with self._lock:
            self._busy = goes_on = bool(self._waiting)
        if goes_on:
            self._thread.submit(self._run)


_reads = Reads()
begin_account = _reads.begin
"""Those of this process."""
