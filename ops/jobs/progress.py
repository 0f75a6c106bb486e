"""What an action tells while it works, and learns from: how far it is, and that it is to stop."""

import threading
import time
from collections import deque
from dataclasses import dataclass

from ops.operations import step as operation_step

LONGEST_LINE = 500
"""Characters."""
WAITING_LINES = 200
"""Lines that have not been written yet; more than this between two heartbeats are left out, and counted."""
STEP_EVERY = 1.0
"""Seconds between two tellings of the operation in hand."""


class Cancelled(Exception):
    """Somebody asked for the job to stop. Actions let it pass: what they have committed stays, the rest is undone."""


class OutOfTime(Exception):
    """The job has taken longer than JOB_TIME_LIMIT."""


@dataclass(frozen=True, slots=True)
class Told:
    """What there is to write down since the last time."""

    step: str
    done: int
    total: int | None
    lines: list[tuple[float, str]]


class Progress:
    """Kept in memory and written by `Pulse`, so that telling costs nothing, does not wait for PostgreSQL, and is seen
    although the action is in the midst of a transaction.

    Safe points are where it is called: `step`, `advance` and `check` raise `Cancelled` or `OutOfTime`.
    """

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._stop = ""
        self._step, self._done = "", 0
        self._total: int | None = None
        self._lines: deque[tuple[float, str]] = deque()
        self._left_out = 0
        self._shown_at = 0.0

    def step(self, name: str) -> None:
        """Begins another part of the work; how far the last one was is forgotten."""
        self.check()
        with self._lock:
            self._step, self._done, self._total = name[:200], 0, None
        operation_step(name)

    def advance(self, done: int, total: int | None = None) -> None:
        """So much of the step is done, of so much."""
        self.check()
        with self._lock:
            self._done, self._total = done, total
        if time.monotonic() - self._shown_at > STEP_EVERY:
            self._shown_at = time.monotonic()
            operation_step(f"{self._step} {done}" + (f" of {total}" if total is not None else ""))

    __call__ = advance

    def log(self, text: str) -> None:
        """A line for whoever reads the job's page. Their number is bounded."""
        with self._lock:
            if len(self._lines) < WAITING_LINES:
                self._lines.append((time.time(), text.replace("\x00", "")[:LONGEST_LINE]))
            else:
                self._left_out += 1

    def check(self) -> None:
        """
        Raises:
            Cancelled, OutOfTime: stop now.
        """
        if self._stop:
            raise Cancelled(self._stop)
        if time.monotonic() > self._ends:
            raise OutOfTime

    def stop(self, why: str) -> None:
        """Has the next safe point raise `Cancelled`. Called by the thread that watches."""
        self._stop = why

    def take(self) -> Told:
        """What is to be written; the lines are handed over."""
        with self._lock:
            lines = list(self._lines)
            self._lines.clear()
            if self._left_out:
                lines.append((time.time(), f"{self._left_out} further lines were left out."))
                self._left_out = 0
            return Told(self._step, self._done, self._total, lines)

    def give_back(self, told: Told) -> None:
        """What could not be written is to be written later."""
        with self._lock:
            self._lines.extendleft(reversed(told.lines[: max(0, WAITING_LINES - len(self._lines))]))
