"""Single flight: threads that want the same thing at the same time share one load of it.

A thread may only join a load that has not begun. One that has begun may have read its source before a write that the
newcomer knows of, and would answer it with the past. So there is at most one load under way and one being waited
for, however many threads ask, and every answer was read after its question.
"""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class _Flight(Generic[T]):
    __slots__ = ("done", "landed", "result", "started", "waiting")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.started = False
        self.landed = False
        self.waiting = 0
        self.result: T | None = None


class _Lane(Generic[T]):
    """The flights of one key: the next to finish, and the one behind it where that has begun."""

    __slots__ = ("behind", "first")

    def __init__(self) -> None:
        self.first: _Flight[T] = _Flight()
        self.behind: _Flight[T] | None = None


class Flights(Generic[T]):
    """`wait` bounds, in seconds, how long a thread waits for another's load before it loads by itself."""

    def __init__(self, *, wait: float) -> None:
        self._wait = wait
        self._lock = threading.Lock()
        self._lanes: dict[str, _Lane[T]] = {}

    def __len__(self) -> int:
        return len(self._lanes)

    def run(self, key: str, load: Callable[[], T]) -> T:
        """What `load` returns, called by this thread or, after this call began, by another one.

        Raises:
            Exception: what `load` raised in this thread; another's failure is not shared.
        """
        with self._lock:
            lane = self._lanes.setdefault(key, _Lane())
            before = lane.first
            leads = not before.started
            if leads:
                flight = before
                flight.started = True
            else:
                flight = lane.behind = lane.behind or _Flight()
                flight.waiting += 1
        if leads:
            return self._lead(key, lane, flight, load)
        return self._follow(key, lane, before, flight, load)

    def _lead(self, key: str, lane: _Lane[T], flight: _Flight[T], load: Callable[[], T]) -> T:
        try:
            result = flight.result = load()
            flight.landed = True
        finally:
            with self._lock:
                if lane.behind is not None:
                    lane.first, lane.behind = lane.behind, None
                else:
                    del self._lanes[key]
            flight.done.set()
        return result

    def _follow(self, key: str, lane: _Lane[T], before: _Flight[T], flight: _Flight[T], load: Callable[[], T]) -> T:
        deadline = time.monotonic() + self._wait
        before.done.wait(self._wait)
        with self._lock:
            flight.waiting -= 1
            leads = lane.first is flight and not flight.started
            if leads:
                flight.started = True
            elif not before.done.is_set() and lane.behind is flight and not flight.waiting:
                lane.behind = None  # nobody waits for it any more
        if leads:
            return self._lead(key, lane, flight, load)
        if flight.done.wait(max(0.0, deadline - time.monotonic())) and flight.landed:
            return flight.result  # type: ignore[return-value]
        return load()
