"""Runs checks, and waits for none longer than HEALTH_CHECK_TIMEOUT.

Checks that ask the same component stand in one lane: they run one after another in one thread, over one connection of
the pool; lanes run side by side. A check that hangs keeps its lane, and that has one thread at most: whoever asks
meanwhile is told at once since when it has been hanging. So answers come in bounded time, and cost few threads.

A page that a person waits for has less patience: it is told what each check said last, and that it has not answered
yet (`run_checks(..., patience=1.0)`).
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog
from django.db import connections

from ops import board
from ops.conf import get_settings
from ops.health.report import Report, worst
from ops.timeouts import record, within

log = structlog.get_logger(__name__)

DATABASE_WITHIN = 2.0
"""Seconds that a check gives PostgreSQL, connection included: an exhausted pool need not take up all of the time."""
LANE_WITHIN = 4.0
"""Seconds that all checks of a lane give PostgreSQL together: where it hangs, the last of them still answers."""


@dataclass(eq=False, slots=True)
class _Run:
    """One call of a check."""

    check: "Watched"
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    asked: float = field(default_factory=time.monotonic)
    begun: float | None = None
    done: threading.Event = field(default_factory=threading.Event)
    report: Report | None = None
    seconds: float = 0.0
    overdue: bool = False


class Lane:
    """Calls its checks one after another, each at most once at a time. Safe to share between threads."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._current: dict[str, _Run] = {}
        self._waiting: deque[_Run] = deque()
        self._works = False
        self._last: dict[str, tuple[Report, datetime]] = {}

    def begin(self, checks: Sequence["Watched"]) -> list[_Run]:
        """For each check the run that is under way, or else a new one."""
        with self._lock:
            runs = [self._run_of(check) for check in checks]
            if self._waiting and not self._works:
                threading.Thread(target=self._work, name=f"health-{self.name}", daemon=True).start()
                self._works = True  # only now: where no thread is to be had, the next who asks tries again
        return runs

    def _run_of(self, check: "Watched") -> _Run:
        run = self._current.get(check.name)
        if run is None or run.done.is_set():
            run = self._current[check.name] = _Run(check)
            self._waiting.append(run)
        return run

    @board.one_look()
    def _work(self) -> None:
        ends = time.monotonic() + min(LANE_WITHIN, get_settings().health_check_timeout)
        while (run := self._next()) is not None:
            run.begun = time.monotonic()
            report = _call(run.check, min(DATABASE_WITHIN, max(0.0, ends - run.begun)))
            if not self._waiting:
                _let_go_of_connections()
            self._tell(run, report)

    def _next(self) -> _Run | None:
        with self._lock:
            self._works = bool(self._waiting)
            return self._waiting.popleft() if self._works else None

    def _tell(self, run: _Run, report: Report) -> None:
        run.seconds = time.monotonic() - (run.begun or run.asked)
        self._last[run.check.name] = report, datetime.now(UTC)
        run.report = report
        run.done.set()
        if not run.overdue:
            record("health", "ok", run.seconds)

    def outcome(self, run: _Run, until: float) -> dict[str, Any]:
        """What the run says, or that it has not said anything in time. `until`: how long the caller waits
        (monotonic), at most HEALTH_CHECK_TIMEOUT."""
        limit = get_settings().health_check_timeout
        overdue_at = run.asked + limit
        run.done.wait(max(0.0, min(until, overdue_at) - time.monotonic()))
        if run.report is not None:
            return _told(run.report, run.seconds)
        if time.monotonic() < overdue_at:
            return self._not_yet(run)
        self._note_overdue(run, limit)
        since = run.since.isoformat(timespec="seconds")
        why = f"still hanging since {since}" if run.begun else f"waits since {since} for a check before it that hangs"
        return _told(Report("unhealthy", f"no answer within {limit} s: {why}"), time.monotonic() - run.asked)

    def _not_yet(self, run: _Run) -> dict[str, Any]:
        """What it said last, in place of an answer; no better than degraded, since nobody knows."""
        asked = time.monotonic() - run.asked
        report, at = self._last.get(run.check.name, (Report("degraded", "it was never heard of"), None))
        said = f"at {at:%H:%M:%S} UTC it said: {report.reason}" if at else "nothing was heard of it before"
        why = f"has not answered for {asked:.1f} s; {said}"
        status = worst((report.status, "degraded"))
        return _told(Report(status, why, report.values, report.thresholds), asked) | {"answered": False}

    def _note_overdue(self, run: _Run, limit: int) -> None:
        with self._lock:
            first, run.overdue = not run.overdue, True
        if first:
            record("health", "timeout", float(limit))
            log.warning("health_check_hangs", check=run.check.name, seconds=limit)


@dataclass(frozen=True, slots=True)
class Watched:
    """One component's check, and the lane it stands in."""

    name: str
    check: Callable[[], Report]
    serving: bool
    lane: Lane


def _call(watched: Watched, seconds: float) -> Report:
    try:
        with within(seconds):
            return watched.check()
    except BaseException as error:  # whatever it is: a lane whose thread is gone would be taken for a hanging one
        log.warning("health_check_failed", check=watched.name, exc_info=error)
        return Report("unhealthy", f"the check failed: {type(error).__name__}")  # no more: it may tell secrets


def _let_go_of_connections() -> None:
    try:
        connections.close_all()
    except Exception as error:  # as above
        log.warning("health_connections_not_closed", exc_info=error)


def run_checks(checks: Collection[Watched], *, patience: float = math.inf) -> dict[str, dict[str, Any]]:
    """By name: status, reason, values, thresholds crossed, milliseconds taken, and when that was.

    `patience`: seconds to wait for all of them together, where HEALTH_CHECK_TIMEOUT is too long. What has not
    answered by then carries `"answered": False` and what it said last.
    """
    return outcomes(begin_checks(checks), patience=patience)


def begin_checks(checks: Collection[Watched]) -> list[_Run]:
    """Sets them going and returns at once, for whoever has something else to do meanwhile; `outcomes` waits."""
    begun: dict[Watched, _Run] = {}
    for lane in dict.fromkeys(check.lane for check in checks):
        begun |= {run.check: run for run in lane.begin([check for check in checks if check.lane is lane])}
    return [begun[check] for check in checks]


def outcomes(begun: Iterable[_Run], *, patience: float = math.inf) -> dict[str, dict[str, Any]]:
    """Waits for what `begin_checks` began; see `run_checks`."""
    until = time.monotonic() + patience
    return {run.check.name: run.check.lane.outcome(run, until) for run in begun}


def _told(report: Report, seconds: float) -> dict[str, Any]:
    return {
        "status": report.status,
        "reason": report.reason,
        "values": report.values,
        "thresholds": [asdict(crossed) for crossed in report.thresholds],
        "milliseconds": round(seconds * 1000, 1),
        "checked_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
