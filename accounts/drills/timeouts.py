"""A statement is slow, and holds what the customers' commands need: these run into their time limits."""

import threading
import time
from contextlib import ExitStack, suppress
from functools import partial

import psycopg

from accounts.drills.customers import deposit
from ops.drills.registry import Part
from ops.drills.running import repeating
from ops.drills.sessions import session

WAITING = 8
"""Customers at once; the web server has at least as many threads, and more."""
PAUSE = 0.4
"""Seconds that each of them lets pass between two deposits."""
SLOW = """
    WITH held AS MATERIALIZED (SELECT aggregate_id FROM lock_streams(%s::uuid[]))
    SELECT count(*), pg_sleep(120) FROM held
"""
OLDER_THAN = 2
QUIET = 64
"""Commands of the last minute beyond which a few that time out are too small a part to be noticed."""
QUIET_WITHIN = 65.0


class SlowStatement(Part):
    symptom = "a slow statement holds accounts for two minutes; the customers' commands time out"
    remedy = f"manage.py terminate_transactions --older-than {OLDER_THAN}"
    components = ("timeouts", "deadlocks", "monitor")

    def prepare(self) -> None:
        self._accounts = [self.scene.customers.open_account() for _ in range(WAITING)]
        self._wait_for_quiet()

    def produce(self, cleanup: ExitStack) -> None:
        accounts = self._accounts
        slow = cleanup.enter_context(session())
        thread = threading.Thread(target=self._run, args=(slow, accounts), name="slow", daemon=True)
        cleanup.callback(thread.join, 10)
        thread.start()
        time.sleep(0.2)
        self._since = time.monotonic()
        for account in accounts:
            paying = repeating(partial(deposit, self.scene.customers, account), pause=PAUSE)
            cleanup.enter_context(paying)
        cleanup.callback(self._break_off, slow)

    def _wait_for_quiet(self) -> None:
        deadline = time.monotonic() + QUIET_WITHIN
        while self._told("attempts") > QUIET and time.monotonic() < deadline:
            time.sleep(1)

    def _told(self, what: str) -> float:
        components = self.scene.bank.component("timeouts")["values"].get("components", {})
        return float(components.get("batch", {}).get(what) or 0)

    @staticmethod
    def _run(slow: psycopg.Connection, accounts: list[str]) -> None:
        with suppress(psycopg.Error):
            slow.execute(SLOW, (accounts,))

    @staticmethod
    def _break_off(slow: psycopg.Connection) -> None:
        with suppress(psycopg.Error):
            slow.cancel_safe(timeout=5)

    def reported(self) -> str | None:
        told = self.scene.bank.component("timeouts")
        rate = told["values"].get("components", {}).get("batch", {}).get("timeout_rate") or 0.0
        many = any(
            crossed["value"] == "timeout_rate" and rate > crossed["threshold"]
            for crossed in told.get("thresholds", ())
        )
        return str(told["reason"]) if many else None

    def cure(self) -> None:
        time.sleep(max(0.0, self._since + OLDER_THAN + 0.5 - time.monotonic()))
        self.scene.manage("terminate_transactions", "--older-than", str(OLDER_THAN), "--reason", "drill: timeouts")
