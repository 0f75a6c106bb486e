"""A circuit breaker: what keeps failing is left alone for a while, and then tried again.

Closed, calls pass, and failures within `window` seconds are counted. At `failures` of them it opens: calls are
turned away at once. After `pause` seconds it is half open: one `probe` runs in a thread of its own, so that no caller
waits for something that may still hang; its success closes the breaker, its failure opens it again.

(pybreaker holds its lock for as long as the guarded call runs, so that threads would queue behind one that hangs, and
it counts failures in a row instead of in a window.)
"""

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Any, TypeVar

import structlog
from prometheus_client import Counter

T = TypeVar("T")
log = structlog.get_logger(__name__)

OPENED = Counter("circuit_breaker_opened_total", "Times that the breaker opened.", ["breaker"])
REJECTED = Counter("circuit_breaker_rejected_total", "Calls that were turned away.", ["breaker"])


LONGEST_PROBE = 30.0
"""Seconds after which a probe is given up: its thread is gone where the process was forked meanwhile."""


_all: "weakref.WeakSet[CircuitBreaker]" = weakref.WeakSet()


class State(IntEnum):
    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class CircuitOpen(Exception):
    """The call was not made: what it needs has been failing."""


class CircuitBreaker:
    """Guards calls to one outside system; safe to share between threads.

    Only errors of the types `on` are failures of that system; any other error is an answer. Times are seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        on: tuple[type[Exception], ...],
        probe: Callable[[], object],
        failures: int = 3,
        window: float = 10.0,
        pause: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._on = on
        self._probe = probe
        self._window = window
        self._pause = pause
        self._clock = clock
        self._lock = threading.Lock()
        self._failed_at: deque[float] = deque(maxlen=failures)
        self._state = State.CLOSED
        self._since = time.time()
        self._opened = 0
        self._probe_at = 0.0
        _all.add(self)

    @property
    def state(self) -> State:
        return self._state

    def call(self, action: Callable[[], T]) -> T:
        """The result of `action`.

        Raises:
            CircuitOpen: it was not called. And what it raises itself.
        """
        if self._state is not State.CLOSED:
            self._turn_away()
        try:
            return action()
        except self._on:
            self._note_failure()
            raise

    def _turn_away(self) -> None:
        with self._lock:
            due = self._state is not State.CLOSED and self._clock() >= self._probe_at
            if due:
                self._probe_at = self._clock() + LONGEST_PROBE  # should the probe never come back
                self._move(State.HALF_OPEN)
        if due:
            self._start_probe()
        REJECTED.labels(self.name).inc()
        raise CircuitOpen(f"{self.name} has been failing and is left alone for now")

    def _start_probe(self) -> None:
        try:
            threading.Thread(target=self._try_again, name=f"probe-{self.name}", daemon=True).start()
        except RuntimeError:  # no more threads, or the process is ending
            with self._lock:
                self._open()

    def _try_again(self) -> None:
        try:
            self._probe()
        except Exception as error:
            log.debug("circuit_probe_failed", breaker=self.name, error=repr(error))
            with self._lock:
                self._open()
            return
        with self._lock:
            self._failed_at.clear()
            self._move(State.CLOSED)

    def _note_failure(self) -> None:
        now = self._clock()
        with self._lock:
            if self._state is not State.CLOSED:
                return  # a call that had begun before the breaker opened
            self._failed_at.append(now)
            if len(self._failed_at) == self._failed_at.maxlen and now - self._failed_at[0] <= self._window:
                OPENED.labels(self.name).inc()
                self._opened += 1
                self._open()

    def _open(self) -> None:
        self._probe_at = self._clock() + self._pause
        self._move(State.OPEN)

    def _move(self, state: State) -> None:
        if {state, self._state} != {State.HALF_OPEN, State.OPEN}:  # a failed probe is no news
            log.warning("circuit_breaker", breaker=self.name, state=state.name.lower())
            self._since = time.time()
        self._state = state

    def told(self) -> dict[str, Any]:
        """JSON-ready: the state, since when (Unix time; a probe that failed does not begin it anew), failures within
        the window, the limits in seconds, and how often it has opened."""
        with self._lock:
            now = self._clock()
            return {
                "name": self.name,
                "state": self._state.name.lower(),
                "since": self._since,
                "failures": sum(now - at <= self._window for at in self._failed_at),
                "opens_at": self._failed_at.maxlen,
                "window": self._window,
                "pause": self._pause,
                "opened": self._opened,
            }


def states() -> dict[str, str]:
    """The breakers of this process by name: "closed", "half_open" or "open"; the worst of several of one name."""
    worst: dict[str, State] = {}
    for breaker in list(_all):
        worst[breaker.name] = max(breaker.state, worst.get(breaker.name, State.CLOSED))
    return {name: state.name.lower() for name, state in sorted(worst.items())}


MOST_TOLD = 30


def details() -> dict[str, list[dict[str, Any]]]:
    """What the board tells of this process's breakers, each by itself: see `CircuitBreaker.told`."""
    told = sorted((breaker.told() for breaker in list(_all)), key=lambda entry: (entry["name"], -entry["since"]))
    return {"breakers": told[:MOST_TOLD]}
