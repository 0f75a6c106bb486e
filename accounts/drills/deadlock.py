"""A session sits on an account that customers want, and sessions that lock in another order than the bank does."""

import threading
import time
from contextlib import ExitStack, suppress
from typing import Any

import psycopg

from accounts.drills.customers import deposit, transfer
from accounts.services.coalescing import PATIENCE_MS
from ops.conf import get_settings
from ops.detectors.models import Incident
from ops.drills.registry import Part
from ops.drills.running import repeating
from ops.drills.sessions import session

LOCK = "SELECT version FROM lock_streams(ARRAY[%s]::uuid[])"
WAITING = 2
"""Customers who want the account that is sat on."""
PAIRS = 8
"""Deadlocks; more than 5 within DEADLOCK_WINDOW are too many."""
IS_WAITED_FOR = """
    SELECT count(*) FROM pg_locks
    WHERE NOT granted AND waitstart < clock_timestamp() - make_interval(secs => %s)
    AND pg_backend_pid() = ANY (pg_blocking_pids(pid))
"""
FOR_GOOD = 3 * PATIENCE_MS / 1000
"""Seconds after which a transfer that waits is one that stays: in a batch with others it gives up its locks after
PATIENCE_MS, and runs again by itself."""
ARRIVES_WITHIN = 10.0
"""Seconds until the transfer must wait for the script. Whoever has waited for a second then (deadlock_timeout) looks
for a deadlock, and is broken off: the transfer, since it began first."""


class BlockedStream(Part):
    symptom = "a session has locked an account and sits on it, while customers want to pay in"
    remedy = "manage.py terminate_transactions --pid of the session that blocks"
    components = ("deadlocks", "monitor")

    def prepare(self) -> None:
        self._account = self.scene.customers.open_account()

    def produce(self, cleanup: ExitStack) -> None:
        account = self._account
        sitting = cleanup.enter_context(session())
        self._pid = sitting.info.backend_pid
        sitting.execute(LOCK, (account,))
        cleanup.enter_context(repeating(lambda: deposit(self.scene.customers, account), times=WAITING, pause=0.1))
        cleanup.callback(sitting.close)  # before the customers are waited for

    def reported(self) -> str | None:
        """By the monitor's incident that names the session, as /health/monitor then tells of an open incident."""
        if self.scene.bank.component("monitor")["status"] == "healthy":
            return None
        incidents = Incident.objects.filter(kind="blocking", ended_at=None)
        return next((i.reason for i in incidents if i.detail["blocker"]["pid"] == self._pid), None)

    def cure(self) -> None:
        self.scene.manage("terminate_transactions", "--pid", str(self._pid), "--reason", "drill: a blocked account")


class RealDeadlocks(Part):
    symptom = f"{PAIRS} scripts lock accounts in another order than the transfers do: deadlocks (SQLSTATE 40P01)"
    remedy = "stop the scripts: PostgreSQL has broken up the deadlocks, and the bank has run its transfers again"
    components = ("deadlocks", "monitor")

    def prepare(self) -> None:
        self._accounts = sorted(self.scene.customers.open_account() for _ in range(2 * PAIRS))
        for account in self._accounts[::2]:
            deposit(self.scene.customers, account)

    def produce(self, cleanup: ExitStack) -> None:
        pairs = zip(self._accounts[::2], self._accounts[1::2], strict=True)
        self._threads = [threading.Thread(target=self._cross, args=pair, daemon=True) for pair in pairs]
        cleanup.callback(self._join)
        for thread in self._threads:
            thread.start()

    def _cross(self, first: str, second: str) -> None:
        """The transfer locks `first` and waits for `second`; the script has `second` and wants `first`."""
        with session() as script:
            script.execute(LOCK, (second,))
            paying = threading.Thread(target=transfer, args=(self.scene.customers, first, second), daemon=True)
            paying.start()
            deadline = time.monotonic() + ARRIVES_WITHIN
            while not _is_waited_for(script) and time.monotonic() < deadline:
                time.sleep(0.05)
            with suppress(psycopg.errors.DeadlockDetected):
                script.execute(LOCK, (first,))
        paying.join(60)

    def reported(self) -> str | None:
        told: dict[str, Any] = self.scene.bank.component("deadlocks")
        many = any(crossed["value"] == "deadlock_count" for crossed in told.get("thresholds", ()))
        return str(told["reason"]) if many else None

    def cure(self) -> None:
        self._join()

    def _join(self) -> None:
        for thread in self._threads:
            thread.join(60)

    def cured_within(self) -> float:
        return get_settings().deadlock_window + 60.0


def _is_waited_for(script: psycopg.Connection[Any]) -> bool:
    row = script.execute(IS_WAITED_FOR, (FOR_GOOD,)).fetchone()
    return bool(row and row[0])
