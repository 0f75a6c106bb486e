"""PostgreSQL itself, and the pools of connections to it."""

import time
from functools import lru_cache
from typing import Any

from django.db import Error, connection
from health_check.checks import Database as Selects
from health_check.exceptions import ServiceUnavailable

from ops import operations
from ops.database import pool_facts
from ops.health.report import Limit, Report, judge

LIMITS = (
    Limit("latency_ms", "answers slowly", degraded=250, unhealthy=2000),
    Limit("connection_utilization", "the server's connections run out", degraded=0.8),
    Limit("oldest_transaction_beside_jobs_seconds", "a transaction has been open for long", degraded=60),
)
POOL_LIMITS = (
    Limit("utilization", "a pool is nearly exhausted", degraded=0.8, unhealthy=0.999),
    Limit("waiting", "callers wait for a connection", degraded=0),
    Limit("held_too_long", "connections are held too long", degraded=0),
)
# Of other roles' sessions this one sees neither what they are nor what they do; PostgreSQL's own processes are for no
# database or no role.
ACTIVITY = """
    SELECT count(*),
           count(*) FILTER (WHERE datname = current_database()),
           current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
           coalesce(extract(epoch FROM clock_timestamp() - min(xact_start)
                    FILTER (WHERE datname = current_database() AND pid <> pg_backend_pid())), 0)::float,
           current_setting('server_version')
      FROM pg_stat_activity
     WHERE coalesce(backend_type, 'client backend') = 'client backend' AND datid IS NOT NULL AND usesysid IS NOT NULL
"""
BESIDE_JOBS = """
    SELECT coalesce(extract(epoch FROM clock_timestamp() - min(xact_start)), 0)::float
      FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND datname = current_database()
       AND pid <> pg_backend_pid() AND pid <> ALL (%s::int[])
"""
STATISTICS = """
    SELECT xact_commit, xact_rollback, deadlocks, active_time / 1000
      FROM pg_stat_database WHERE datname = current_database()
"""

SIZE_KEPT = 60
"""Seconds. PostgreSQL finds the size by asking for that of each file, which takes as long as all else here."""


def check_database() -> Report:
    """A connection from this process's own pool answers a SELECT: an exhausted pool is not healthy."""
    started = time.perf_counter()
    try:
        Selects().run()
    except ServiceUnavailable:
        return Report("unhealthy", "gives no connection, or does not answer a SELECT")
    latency = time.perf_counter() - started
    try:
        with connection.cursor() as cursor:
            cursor.execute(ACTIVITY)
            used, ours, most, oldest, version = cursor.fetchone()
            oldest_beside_jobs = _oldest_beside_jobs(cursor, oldest)
            cursor.execute(STATISTICS)
            committed, rolled_back, deadlocks, active = cursor.fetchone()
        size = _size(int(time.monotonic() // SIZE_KEPT))
    except Error:
        return Report("unhealthy", "stopped answering", {"latency_ms": round(latency * 1000, 2)})
    values = {
        "latency_ms": round(latency * 1000, 2),
        "latency_seconds": round(latency, 5),
        "connections": used,
        "connections_to_this_database": ours,
        "max_connections": most,
        "connection_utilization": round(used / most, 4),
        "pools_may_open": sum(pool["limit"] for pool in pool_facts()),
        "oldest_transaction_seconds": round(oldest, 3),
        "oldest_transaction_beside_jobs_seconds": round(oldest_beside_jobs, 3),
        "transactions_committed": committed,
        "transactions_rolled_back": rolled_back,
        "deadlocks": deadlocks,
        "active_seconds": round(active, 3),
        "size_bytes": size,
        "version": version,
    }
    return judge(values, LIMITS, well=_well(values))


def _well(values: dict[str, Any]) -> str:
    """That the pools could together ask for more than there is becomes an outage only under load: better told now."""
    if values["pools_may_open"] <= values["max_connections"]:
        return "answers"
    return (
        "answers; but the pools of this machine may together open {pools_may_open} connections, and it takes "
        "{max_connections}: lower POOL_MAX_CONNECTIONS, or raise the server's max_connections"
    ).format_map(values)


def _oldest_beside_jobs(cursor: Any, oldest: float) -> float:
    """Seconds. The transactions of jobs may be long: a proof of the books reads everything in one."""
    backends = [op["database_pid"] for op in operations.active() if operations.is_job(op) and op["database_pid"]]
    if not backends:
        return oldest
    cursor.execute(BESIDE_JOBS, (backends,))
    return float(cursor.fetchone()[0])


@lru_cache(maxsize=1)
def _size(_period: int) -> int:
    """Bytes of the database on disk."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return int(cursor.fetchone()[0])


def check_pool() -> Report:
    """The pools of all processes of this machine, as each told of its own within the last second or two."""
    pools = pool_facts()
    return judge(pool_values(pools), POOL_LIMITS, well="connections are to be had" if pools else "no pool is open")


def pool_values(pools: list[dict[str, Any]]) -> dict[str, Any]:
    """`utilization` is that of the fullest pool: connections in use of the most that it may have."""
    return {
        "utilization": max((pool["utilization"] for pool in pools), default=0.0),
        "in_use": sum(pool["in_use"] for pool in pools),
        "size": sum(pool["size"] for pool in pools),
        "max": sum(pool["limit"] for pool in pools),
        "waiting": sum(pool["waiting"] for pool in pools),
        "held_too_long": sum(len(pool["held"]) for pool in pools),
        "processes": pools,
    }
