"""The connection pool runs out: connections are taken, and not given back."""

import os
import threading
import time
from contextlib import ExitStack, suppress
from typing import Any

import psycopg
from django.db import connection
from psycopg_pool import PoolTimeout

from ops.conf import get_settings
from ops.database.pool import Pool
from ops.drills.registry import CannotDrill, Part

OLDER_THAN = 2
"""Seconds; the customers' own transactions last milliseconds."""
MOST = 50
"""Connections: the drill is about a pool, and leaves PostgreSQL's own to the bank."""


class Leak:
    """Code that takes all connections of this process's pool, begins a transaction on each and forgets it, so that
    others wait in vain.

    It notices when its sessions are ended, as any code does, and gives back what is broken.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._held: list[psycopg.Connection[Any]] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._use, name="leak", daemon=True),
            threading.Thread(target=self._wait_for_one, name="waiting", daemon=True),
        ]

    def take_all(self) -> None:
        for _ in range(self._pool.max_size):
            taken = self._pool.getconn()
            self._held.append(taken)
            taken.execute("BEGIN")
            taken.execute("SELECT 1")
        for thread in self._threads:
            thread.start()

    def _use(self) -> None:
        while not self._stop.wait(0.2):
            for taken in list(self._held):
                try:
                    taken.execute("SELECT 1")
                except psycopg.Error:
                    self._held.remove(taken)
                    self._pool.putconn(taken)

    def _wait_for_one(self) -> None:
        with suppress(PoolTimeout, psycopg.OperationalError):
            self._pool.putconn(self._pool.getconn(timeout=get_settings().connection_acquire_timeout))

    def end(self) -> None:
        self._stop.set()
        using, waiting = self._threads
        _join(using)
        while self._held:
            taken = self._held.pop()
            with suppress(psycopg.Error):
                taken.rollback()
            self._pool.putconn(taken)
        _join(waiting)


def _join(thread: threading.Thread) -> None:
    if thread.is_alive():
        thread.join(30)


class ExhaustedPool(Part):
    symptom = "a process has all connections of its pool taken, in transactions that sit idle, and a caller waits"
    remedy = f"manage.py terminate_transactions --older-than {OLDER_THAN}"
    components = ("pool", "database")

    def lacks(self) -> str | None:
        most = get_settings().pool_max_connections
        if most <= MOST:
            return None
        return (
            f"POOL_MAX_CONNECTIONS is {most}: for the drill's own process set it to {MOST} at most "
            "(POOL_MAX_CONNECTIONS=10 manage.py drill pool)."
        )

    def produce(self, cleanup: ExitStack) -> None:
        connection.close()
        pool = getattr(connection, "pool", None)
        if not isinstance(pool, Pool):
            raise CannotDrill("This process has no pool.")
        leak = Leak(pool)
        cleanup.callback(leak.end)
        leak.take_all()
        self._since = time.monotonic()

    def reported(self) -> str | None:
        told = self.scene.bank.component("pool")
        mine = [pool for pool in told["values"].get("processes", ()) if pool["process"]["pid"] == os.getpid()]
        exhausted = any(pool["utilization"] >= 1 for pool in mine)
        return str(told["reason"]) if exhausted and told["status"] != "healthy" else None

    def cure(self) -> None:
        time.sleep(max(0.0, self._since + OLDER_THAN + 0.5 - time.monotonic()))
        self.scene.manage("terminate_transactions", "--older-than", str(OLDER_THAN), "--reason", "drill: the pool")
