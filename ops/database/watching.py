"""A process's look at its own pool, once a second: measures it, scales it, resets it on request, and tells the rest.

It goes by the pool's own counters and needs no connection, so that it sees an exhausted pool.
"""

import time
from pathlib import Path
from typing import Any

import structlog
from psycopg.pq import TransactionStatus

from ops import board, process
from ops.board import facts
from ops.board.layout import directory
from ops.conf import get_settings
from ops.database import scaling
from ops.database.pool import Checkout, Pool
from ops.database.stack import in_words

log = structlog.get_logger(__name__)

HELD_SHOWN = 5
SHORTEST_THRESHOLD = 1.0
"""Seconds; DEADLOCK_OPERATION_TIMEOUT cannot be less."""
RESET_REQUEST = "pool-reset"
"""A file beside the boards: whenever it changes, every process of the machine resets its pool."""


class Watched:
    """The pool of this process, and what was seen of it last."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.scaler = scaling.begin(pool)
        self.reset_at: float | None = None
        self._limit = get_settings().pool_max_connections
        self._request_path = _request_path()
        self._request = _request_number(self._request_path)
        self._before = pool.get_stats()
        self.recent = {"requests": 0, "queued": 0, "wait_ms": 0, "errors": 0}

    def look(self) -> None:
        stats = self.pool.get_stats()
        self.recent = {
            name: stats.get(f"requests_{key}", 0) - self._before.get(f"requests_{key}", 0)
            for name, key in (("requests", "num"), ("queued", "queued"), ("wait_ms", "wait_ms"), ("errors", "errors"))
        }
        self._before = stats
        if self.scaler is not None:
            waiting = stats.get("requests_waiting", 0)
            seen = scaling.Seen(len(self.pool.checkouts), waiting, self.recent["requests"], self.recent["wait_ms"])
            scaling.adjust(self.pool, self.scaler, seen)
        self._note_transactions()
        self._reset_when_asked()

    def _note_transactions(self) -> None:
        now = time.time()
        for checkout in list(self.pool.checkouts.values()):
            if checkout.connection.pgconn.transaction_status in (TransactionStatus.IDLE, TransactionStatus.UNKNOWN):
                checkout.busy_since = None
            elif checkout.busy_since is None:
                checkout.busy_since = now

    def _reset_when_asked(self) -> None:
        number = _request_number(self._request_path)
        if number == self._request:
            return
        self._request = number
        self.pool.drain()
        self.reset_at = time.time()
        log.warning("pool_reset", in_use=len(self.pool.checkouts))

    def fact(self) -> dict[str, Any]:
        stats, pool = self._before, self.pool
        limit, in_use = self._limit, len(pool.checkouts)
        return {
            "size": stats.get("pool_size", 0),
            "in_use": in_use,
            "available": stats.get("pool_available", 0),
            "waiting": stats.get("requests_waiting", 0),
            "min": pool.min_size,
            "max": pool.max_size,
            "limit": limit,
            "utilization": round(in_use / limit, 4),
            "requests": stats.get("requests_num", 0),
            "queued": stats.get("requests_queued", 0),
            "wait_ms": stats.get("requests_wait_ms", 0),
            "errors": stats.get("requests_errors", 0),
            "lost": stats.get("connections_lost", 0),
            "last_second": self.recent,
            "auto_scaling": self.scaler is not None,
            "reset_at": self.reset_at,
            "held": _held(pool),
        }


def _held(pool: Pool) -> list[dict[str, Any]]:
    """Connections that somebody should have given back, longest first."""
    now = time.time()
    old = [checkout for checkout in list(pool.checkouts.values()) if now - checkout.since > SHORTEST_THRESHOLD]
    if not old:
        return []
    threshold = get_settings().deadlock_operation_timeout
    working = {slot["thread"]: slot for slot in board.own_slots()}
    told = [_tell(checkout, now, threshold, working.get(checkout.thread.native_id)) for checkout in old]
    kept = [entry for entry in told if entry is not None]
    return sorted(kept, key=lambda entry: entry["since"])[:HELD_SHOWN]


def _tell(
    checkout: Checkout, now: float, threshold: float, operation: dict[str, Any] | None
) -> dict[str, Any] | None:
    """None where it is held for a short time, or rightly: by a service's loop, which keeps its connection, or for an
    operation in hand."""
    if now - checkout.since <= threshold:
        return None
    busy = now - checkout.busy_since if checkout.busy_since is not None else 0.0
    if not checkout.thread.is_alive():
        why = "its thread has ended"
    elif busy > threshold:
        why = "in a transaction"
    elif operation is None and not process.is_service():
        why = "kept without an operation"
    else:
        return None
    return {
        "database_pid": checkout.connection.info.backend_pid,
        "since": checkout.since,
        "seconds": round(now - checkout.since, 3),
        "transaction_seconds": round(busy, 3),
        "threshold": threshold,
        "why": why,
        "thread": checkout.thread_name,
        "operation": {key: operation[key] for key in ("id", "kind", "name", "step")} if operation else None,
        "stack": in_words(checkout.code),
    }


def _request_path() -> Path:
    return directory() / RESET_REQUEST


def _request_number(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def request_reset() -> None:
    """Asks all processes of this machine to replace the connections of their pools; they do within a second or two.

    Idle ones are closed and opened anew; those in use are, when they are given back: nobody's work is cut off.
    """
    directory().mkdir(mode=0o700, parents=True, exist_ok=True)
    _request_path().write_text(f"{time.time()}\n", encoding="ascii")


_watched: Watched | None = None


def watch(pool: Pool) -> None:
    """Watches the process's pool from now on; a pool that was watched before is forgotten."""
    global _watched
    if _watched is None or _watched.pool is not pool:
        _watched = Watched(pool)
        facts.every_second(_look)
        facts.register_fact("pool", _fact)
        facts.start()


def _look() -> None:
    if _watched is not None:
        _watched.look()


def _fact() -> dict[str, Any] | None:
    return _watched.fact() if _watched is not None and not _watched.pool.closed else None
