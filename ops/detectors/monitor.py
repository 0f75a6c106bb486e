"""The monitor: looks every DEADLOCK_CHECK_INTERVAL seconds, records what begins and ends, and resolves what may be.

One leads, by an advisory lock on its connection; others stand by and take over when that connection is gone.
"""

import os
import socket
import time
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone
from psycopg_pool import PoolTimeout

from ops import board, trends
from ops.board import facts
from ops.conf import get_settings
from ops.database.locks import session_lock
from ops.detectors import blocking, boards, contention, incidents, outages
from ops.detectors.findings import Finding, finding
from ops.detectors.looking import CannotLook
from ops.detectors.models import MonitorRun
from ops.detectors.resolving import Resolver
from ops.detectors.sessions import Session, sessions

log = structlog.get_logger(__name__)

LOCK = "monitor"
BOARD_KINDS = frozenset({"stuck_operation", "held_connection", "pool_pressure"})
DATABASE_KINDS = frozenset({"blocking", "idle_in_transaction", "long_transaction", "lock_held", "deadlocks"})
KINDS = BOARD_KINDS | DATABASE_KINDS | {outages.OUTAGE}
PRUNE_EVERY = 3600.0
TROUBLE = (DatabaseError, InterfaceError, PoolTimeout, CannotLook)


class Stop(Protocol):
    """The order to stop: an `ops.service.StopRequest`."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool: ...


@dataclass(slots=True)
class Told:
    """What this process's board says of its monitor."""

    leads: bool = False
    at: float | None = None
    seconds: float = 0.0
    findings: int = 0
    error: str = ""

    def fact(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class Monitor:
    """One process that leads or stands by."""

    def __init__(self) -> None:
        self.told = Told()
        self._holder = f"{socket.gethostname()}:{os.getpid()}"
        self._resolver = Resolver()
        self._silence = outages.Mind()
        self._deadlocks_ever: int | None = None
        self._prune_at = 0.0
        self._sample_at = 0.0

    def run(self, stop: Stop) -> None:
        """Until `stop` is set. While PostgreSQL does not answer, what the boards tell is logged."""
        facts.register_fact("monitor", self.told.fact)
        facts.start()
        interval = get_settings().deadlock_check_interval
        while not stop.is_set():
            try:
                self._lead_while_possible(stop, interval)
            except TROUBLE as error:
                connection.close()
                self._silence.note(error)
                self._say_without_database(error)
            self.told.leads = False
            stop.wait(interval)
        connection.close()

    def _lead_while_possible(self, stop: Stop, interval: float) -> None:
        with session_lock(LOCK) as leads:
            self.told.leads = leads
            self.told.error = ""
            if not leads:
                self._silence.forget()  # the one that leads has noted it too
            self._deadlocks_ever = None  # those of the time when this process did not lead are not of now
            while leads and not stop.is_set():
                self.look()
                stop.wait(interval)

    def _say_without_database(self, error: Exception) -> None:
        self.told.error = f"{type(error).__name__}: {error}"[:300]
        found = self._from_boards()
        log.warning("monitor_without_database", error=self.told.error, findings=[f["reason"] for f in found[:10]])

    def look(self) -> list[Finding]:
        """One look, with all that follows from it; returns the findings.

        Raises:
            CannotLook, DatabaseError: PostgreSQL does not answer; nothing was recorded.
        """
        began, now = time.monotonic(), timezone.now()
        seen = sessions()
        found = [*self._from_boards(), *self._from_database(seen), *outages.outages()]
        if self._silence.since is not None:
            incidents.record_past(self._silence.finding(), self._silence.since, now)
            self._silence.forget()
        incidents.record(found, KINDS, now)
        if get_settings().enable_auto_resolution:
            self._resolver.resolve(seen)
        self._prune_when_due()
        self._sample_when_due()
        self.told.at, self.told.findings, self.told.error = time.time(), len(found), ""
        self.told.seconds = round(time.monotonic() - began, 3)
        MonitorRun.objects.update_or_create(
            id=1,
            defaults={
                "holder": self._holder,
                "at": timezone.now(),
                "seconds": self.told.seconds,
                "findings": len(found),
            },
        )
        return found

    def _from_boards(self) -> list[Finding]:
        return [*boards.stuck_operations(), *boards.held_connections(), *boards.pool_pressure()]

    def _from_database(self, seen: list[Session]) -> list[Finding]:
        return [*blocking.blockers(seen), *blocking.too_long(seen), *self._deadlocks()]

    def _deadlocks(self) -> list[Finding]:
        ever = contention.deadlocks_ever()
        if self._deadlocks_ever is not None and ever > self._deadlocks_ever:
            board.count(contention.DATABASE_SERIES, ever - self._deadlocks_ever)
        self._deadlocks_ever = ever
        counts = contention.deadlocks()
        if counts["deadlock_count"] <= counts["threshold"]:
            return []
        return [
            finding(
                "deadlocks",
                "database",
                measured=counts["deadlock_count"],
                threshold=counts["threshold"],
                unit=f"in {counts['window_seconds']} seconds",
                reason=f"{counts['deadlock_count']} deadlocks within {counts['window_seconds']} s.",
                **{name: count for name, count in counts.items() if name != "threshold"},
            )
        ]

    def _prune_when_due(self) -> None:
        if time.monotonic() >= self._prune_at:
            self._prune_at = time.monotonic() + PRUNE_EVERY
            incidents.prune()

    def _sample_when_due(self) -> None:
        if time.monotonic() >= self._sample_at:
            self._sample_at = time.monotonic() + trends.EVERY
            trends.sample()


def last_run() -> dict[str, Any] | None:
    """When the leading monitor looked last, whichever machine it is on: {"at" (Unix seconds), "age", "seconds",
    "findings", "leader", "interval"}; None: never.

    From the boards where the leader is on this machine, so that it is told also while PostgreSQL is down.

    Raises:
        DatabaseError: no leader here, and PostgreSQL does not answer.
    """
    interval = get_settings().deadlock_check_interval
    for seen in board.boards():
        told = seen.facts.get("monitor") or {}
        if told.get("leads") and told.get("at"):
            leader = f"{seen.process['host']}:{seen.process['pid']}"
            return _run(told["at"], told["seconds"], told["findings"], leader, interval)
    row = MonitorRun.objects.first()
    return _run(row.at.timestamp(), row.seconds, row.findings, row.holder, interval) if row else None


def _run(at: float, seconds: float, findings: int, leader: str, interval: float) -> dict[str, Any]:
    age = round(max(0.0, time.time() - at), 3)
    return {
        "at": at,
        "age": age,
        "seconds": seconds,
        "findings": findings,
        "leader": leader,
        "interval": interval,
    }
