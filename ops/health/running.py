"""Runs checks side by side, and waits for none longer than HEALTH_CHECK_TIMEOUT.

A check that hangs keeps its thread, which is the only one it gets: whoever asks meanwhile is told at once since when
it has been hanging. So threads are at most as many as checks, and answers come in bounded time.
"""

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import structlog
from django.db import connections

from ops.conf import get_settings
from ops.health.report import Report
from ops.timeouts import record, within

log = structlog.get_logger(__name__)

DATABASE_WITHIN = 2.0
"""Seconds that a check gives PostgreSQL, connection included: an exhausted pool need not take up all of the time."""


class _Run:
    """One call of a check."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.began = time.monotonic()
        self.since = datetime.now(UTC)
        self.report: Report | None = None
        self.seconds = 0.0
        self.overdue = False


class Watched:
    """One component's check. Safe to share between threads."""

    def __init__(self, name: str, check: Callable[[], Report], serving: bool) -> None:
        self.name = name
        self.serving = serving
        self._check = check
        self._lock = threading.Lock()
        self._run: _Run | None = None

    def begin(self) -> _Run:
        """A run that is under way, or else a new one."""
        with self._lock:
            if self._run is None or self._run.done.is_set():
                self._run = _Run()
                threading.Thread(
                    target=self._call, args=(self._run,), name=f"health-{self.name}", daemon=True
                ).start()
            return self._run

    def outcome(self, run: _Run) -> dict[str, Any]:
        """What the run says, or that it has not said anything in time."""
        limit = get_settings().health_check_timeout
        run.done.wait(max(0.0, run.began + limit - time.monotonic()))
        if run.report is None:
            self._note_overdue(run, limit)
            since = run.since.isoformat(timespec="seconds")
            report = Report("unhealthy", f"no answer within {limit} s: still hanging since {since}")
            return _told(report, time.monotonic() - run.began)
        return _told(run.report, run.seconds)

    def _call(self, run: _Run) -> None:
        report = Report("unhealthy", "the check was ended")
        try:
            with within(min(DATABASE_WITHIN, get_settings().health_check_timeout)):
                report = self._check()
        except Exception as error:
            log.warning("health_check_failed", check=self.name, exc_info=error)
            report = Report("unhealthy", f"the check failed: {type(error).__name__}")  # no more: it may tell secrets
        finally:
            connections.close_all()
            run.seconds = time.monotonic() - run.began
            run.report = report
            run.done.set()
            if not run.overdue:
                record("health", "ok", run.seconds)

    def _note_overdue(self, run: _Run, limit: int) -> None:
        with self._lock:
            first, run.overdue = not run.overdue, True
        if first:
            record("health", "timeout", float(limit))
            log.warning("health_check_hangs", check=self.name, seconds=limit)


def run_checks(checks: Collection[Watched]) -> dict[str, dict[str, Any]]:
    """By name: status, reason, values, thresholds crossed, milliseconds taken, and when that was."""
    runs = [(check, check.begin()) for check in checks]
    return {check.name: check.outcome(run) for check, run in runs}


def _told(report: Report, seconds: float) -> dict[str, Any]:
    return {
        "status": report.status,
        "reason": report.reason,
        "values": report.values,
        "thresholds": [asdict(crossed) for crossed in report.thresholds],
        "milliseconds": round(seconds * 1000, 1),
        "checked_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
