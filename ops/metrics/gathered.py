"""Counting up on an event loop that answers thousands of requests a second: many increments are written as one.

Each is a lock and a write into the file that Prometheus is told from, some microseconds; four of them are more than
reading a request's headers.
"""

import asyncio
from collections import Counter as Tally

from prometheus_client import Counter


class Gathered:
    """Increments by one, of one event loop, written `seconds` after the first of them at the latest."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: Tally[tuple[Counter, ...]] = Tally()

    def add(self, counters: tuple[Counter, ...]) -> None:
        """Counts each of them up, soon. They are few: what is gathered is held by them."""
        if not self._waiting:
            asyncio.get_running_loop().call_later(self._seconds, self.write)
        self._waiting[counters] += 1

    def write(self) -> None:
        """Writes what is gathered now, as when the loop is about to end."""
        waiting, self._waiting = self._waiting, Tally()
        for counters, times in waiting.items():
            for counter in counters:
                counter.inc(times)
