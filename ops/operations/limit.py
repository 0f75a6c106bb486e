"""No more operations at once than MAX_CONCURRENT_OPERATIONS, in all processes of this machine together."""

import threading
import time

from ops import board
from ops.conf import get_settings

TRUST = 0.1
"""Seconds for which the counts of the other processes are believed: looking at them costs a tenth of a millisecond.
Commands that begin within it in different processes may exceed the limit by as many."""


class TooManyOperations(Exception):
    """The bank has as many operations in hand as it takes. Nothing was begun."""

    def __init__(self, in_hand: int, limit: int) -> None:
        super().__init__(f"{in_hand} operations are in hand, and MAX_CONCURRENT_OPERATIONS is {limit}")
        self.in_hand = in_hand
        self.limit = limit


class _Others:
    """How many operations the other processes have in hand."""

    def __init__(self) -> None:
        self._count = 0
        self._read_at = float("-inf")
        self._lock = threading.Lock()

    def count(self) -> int:
        now = time.monotonic()
        if now - self._read_at > TRUST and self._lock.acquire(blocking=False):
            try:
                own = 0 if board.unseen() else board.own_in_hand()
                self._count = board.in_hand() - own
                self._read_at = now
            finally:
                self._lock.release()
        return self._count


_others = _Others()


def require_room() -> None:
    """To be asked before an operation that somebody wants is begun. Never waits.

    Raises:
        TooManyOperations: there is no room for it.
    """
    limit = get_settings().max_concurrent_operations
    in_hand = _others.count() + board.own_in_hand()
    if in_hand >= limit:
        board.count("operations_refused")
        raise TooManyOperations(in_hand, limit)
