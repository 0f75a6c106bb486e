"""Redis itself, and the cache that stands on it."""

import time
from functools import lru_cache
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops import board
from ops.cache.metrics import hit_rates
from ops.conf import get_settings
from ops.health.report import Limit, Report, judge
from ops.timeouts import attempt, rates

ENOUGH_READS = 100
"""Reads within the window from which on a rate of hits says something."""
REDIS_LIMITS = (
    Limit("latency_ms", "answers slowly", degraded=100, unhealthy=2000),
    Limit("memory_utilization", "its memory is nearly full", degraded=0.9),
    Limit("client_utilization", "its connections run out", degraded=0.8, unhealthy=0.99),
)
CACHE_LIMITS = (
    Limit("hit_rate", "few reads are answered from memory", degraded=0.5, least=True),
    Limit("failure_rate", "the shared tier fails", degraded=0.1),
    Limit("breakers_open", "the shared tier is left alone", degraded=0),
)
NO_ANSWER = (redis.RedisError, OSError)


def check_redis() -> Report:
    """PING and INFO, over a connection without patience beyond REDIS_OPERATION_TIMEOUT."""
    started = time.perf_counter()
    try:
        with attempt("redis"):
            client(_url()).ping()
        latency = time.perf_counter() - started
        info = told_by_redis()
    except NO_ANSWER as error:
        return Report("unhealthy", f"does not answer: {type(error).__name__}")
    return judge(
        {"latency_ms": round(latency * 1000, 2), "latency_seconds": round(latency, 5), **info},
        REDIS_LIMITS,
        well="answers",
    )


def silence() -> str | None:
    """Why Redis did not answer a PING; None where it did."""
    try:
        client(_url()).ping()
    except NO_ANSWER as error:
        return type(error).__name__
    return None


def told_by_redis() -> dict[str, Any]:
    """What INFO says that matters here. Raises what redis-py raises."""
    with attempt("redis"):
        info: dict[str, Any] = client(_url()).info()
    memory, most = info["used_memory"], info.get("maxmemory", 0)
    clients, most_clients = info["connected_clients"], info.get("maxclients", 0)
    return {
        "used_memory_bytes": memory,
        "max_memory_bytes": most or None,
        "memory_utilization": round(memory / most, 4) if most else None,
        "fragmentation_ratio": info.get("mem_fragmentation_ratio"),
        "clients": clients,
        "max_clients": most_clients or None,
        "client_utilization": round(clients / most_clients, 4) if most_clients else None,
        "blocked_clients": info.get("blocked_clients"),
        "rejected_connections": info.get("rejected_connections"),
        "evicted_keys": info.get("evicted_keys"),
        "expired_keys": info.get("expired_keys"),
        "operations_per_second": info.get("instantaneous_ops_per_sec"),
        "keys": sum(
            entry["keys"] for name, entry in info.items() if name.startswith("db") and isinstance(entry, dict)
        ),
        "uptime_seconds": info.get("uptime_in_seconds"),
        "version": info.get("valkey_version") or info.get("redis_version"),
    }


def _url() -> str:
    return str(settings.CACHES["default"]["LOCATION"])


@lru_cache(maxsize=4)
def client(url: str) -> redis.Redis:
    """Two connections at most, that try nothing twice."""
    config = get_settings()
    limit = min(config.redis_operation_timeout, config.health_check_timeout)
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=2,
        timeout=limit,
        socket_timeout=limit,
        socket_connect_timeout=limit,
        retry=Retry(NoBackoff(), 0),
    )
    return redis.Redis(connection_pool=pool)


def check_cache() -> Report:
    """Both tiers, in all processes of this machine. Without the shared tier reads come from PostgreSQL: slower, and
    never wrong, so that the cache is at worst degraded."""
    return judge(cache_values(), CACHE_LIMITS, well="serves reads")


def cache_values() -> dict[str, Any]:
    """`hit_rate` is that of the memories of the processes; None while there were few reads."""
    tiers, seen, calls = hit_rates(), board.boards(), rates()["cache"]
    own, shared = tiers["l1"], tiers["l2"]
    states = [process.facts.get("breakers", {}).get("redis", "closed") for process in seen]
    return {
        "hit_rate": round(own.rate, 4) if own.rate is not None and own.hits + own.misses >= ENOUGH_READS else None,
        "failure_rate": round((calls.timeouts + calls.errors) / calls.attempts, 4) if calls.attempts else None,
        "breakers_open": sum(state != "closed" for state in states),
        "l1": {
            "hits": own.hits,
            "misses": own.misses,
            "evictions": own.evictions,
            "hit_rate": _rounded(own.rate),
            "entries": sum(process.facts.get("cache", {}).get("entries", 0) for process in seen),
            "max_entries_each": get_settings().cache_max_size,
        },
        "l2": {
            "hits": shared.hits,
            "misses": shared.misses,
            "hit_rate": _rounded(shared.rate),
            "errors": shared.errors,
        },
    }


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 4)
