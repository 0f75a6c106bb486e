"""The ground floor's metrics that are drawn from its checks."""

from collections.abc import Iterator, Mapping
from typing import Any

from ops.breaker import State
from ops.health.memory import ENOUGH_READS
from ops.metrics.registry import Measure, Sample, value


def _by_component(number: str) -> Any:
    def find(values: Mapping[str, Any]) -> Iterator[Sample]:
        for name, entry in values["components"].items():
            yield (name,), entry[number]

    return find


def _breakers(values: Mapping[str, Any]) -> list[Sample]:
    """The worst of all processes, by breaker."""
    worst: dict[str, int] = {}
    for states in values["breakers"].values():
        for name, state in states.items():
            worst[name] = max(worst.get(name, 0), State[state.upper()])
    return [((name,), state) for name, state in worst.items()]


def _hit_rates(values: Mapping[str, Any]) -> list[Sample]:
    """Of few reads a rate says nothing."""
    tiers = ((tier, values[tier]) for tier in ("l1", "l2"))
    return [((tier,), told["hit_rate"]) for tier, told in tiers if told["hits"] + told["misses"] >= ENOUGH_READS]


def _transactions(values: Mapping[str, Any]) -> list[Sample]:
    return [((what,), values.get(f"transactions_{what}")) for what in ("committed", "rolled_back")]


MEASURES = (
    Measure(
        "connection_pool_utilization",
        "Connections in use of the most that a pool may have, 0 to 1; of the fullest pool of this machine.",
        "pool",
        value("utilization"),
    ),
    Measure("connection_pool_in_use", "Connections in somebody's hands, all pools.", "pool", value("in_use")),
    Measure("connection_pool_size", "Connections open, all pools.", "pool", value("size")),
    Measure("connection_pool_max", "Connections that all pools together may open.", "pool", value("max")),
    Measure("connection_pool_waiting", "Callers that wait for a connection.", "pool", value("waiting")),
    Measure(
        "connection_pool_held_too_long",
        "Connections held longer than they should be.",
        "pool",
        value("held_too_long"),
    ),
    Measure("database_latency_seconds", "One SELECT of the health check.", "database", value("latency_seconds")),
    Measure("database_connections", "Clients connected to the server.", "database", value("connections")),
    Measure("database_max_connections", "Clients that it takes.", "database", value("max_connections")),
    Measure(
        "database_oldest_transaction_seconds",
        "Age of the oldest open transaction.",
        "database",
        value("oldest_transaction_seconds"),
    ),
    Measure(
        "database_transactions",
        "Transactions of this database since PostgreSQL counts them.",
        "database",
        _transactions,
        ("outcome",),
        "counter",
    ),
    Measure(
        "database_statement_seconds",
        "Time that PostgreSQL spent in statements of this database.",
        "database",
        value("active_seconds"),
        kind="counter",
    ),
    Measure(
        "database_deadlocks", "Deadlocks that PostgreSQL resolved.", "database", value("deadlocks"), kind="counter"
    ),
    Measure(
        "deadlock_count",
        "Deadlocks within DEADLOCK_WINDOW, so that it falls again.",
        "deadlocks",
        value("deadlock_count"),
    ),
    Measure("blocked_sessions", "Sessions that wait for another's lock.", "deadlocks", value("waiting_sessions")),
    Measure(
        "version_conflicts",
        "Optimistic concurrency conflicts within DEADLOCK_WINDOW.",
        "deadlocks",
        value("version_conflicts"),
    ),
    Measure("operations_in_hand", "Operations in hand, all processes.", "operations", value("in_hand")),
    Measure("operations_limit", "MAX_CONCURRENT_OPERATIONS.", "operations", value("most")),
    Measure("operations_stuck", "Operations past their deadline.", "operations", value("stuck")),
    Measure("operations_oldest_seconds", "Age of the oldest in hand.", "operations", value("oldest_seconds")),
    Measure("monitor_silent_seconds", "Since the monitor looked last.", "monitor", value("silent_seconds")),
    Measure("incidents_open", "Findings of the monitor that last.", "monitor", value("open_incidents")),
    Measure("jobs_silent_seconds", "Since a worker swept last.", "jobs", value("silent_seconds")),
    Measure("jobs_waiting", "Jobs that no worker has taken yet.", "jobs", value("waiting")),
    Measure("jobs_running", "Jobs that are being carried out.", "jobs", value("running")),
    Measure(
        "timeout_rate",
        "Timeouts of attempts in the last minute, 0 to 1; no sample without attempts.",
        "timeouts",
        _by_component("timeout_rate"),
        ("component",),
    ),
    Measure(
        "timeout_limit_seconds",
        "The limit that calls to a component are held to.",
        "timeouts",
        _by_component("limit_seconds"),
        ("component",),
    ),
    Measure(
        "circuit_breaker_state",
        "0 closed, 1 half open, 2 open; the worst of all processes.",
        "timeouts",
        _breakers,
        ("breaker",),
    ),
    Measure(
        "cache_hit_rate",
        "Hits of reads in the last 5 minutes, 0 to 1; no sample while there were fewer than 100.",
        "cache",
        _hit_rates,
        ("tier",),
    ),
    Measure("cache_entries", "Documents in the memory of all processes.", "cache", value("l1.entries")),
    Measure("redis_latency_seconds", "One PING.", "redis", value("latency_seconds")),
    Measure("redis_memory_bytes", "Memory that Redis uses.", "redis", value("used_memory_bytes")),
    Measure("redis_max_memory_bytes", "Memory that it may use, where limited.", "redis", value("max_memory_bytes")),
    Measure("redis_clients", "Connected clients.", "redis", value("clients")),
    Measure("redis_keys", "Keys in all databases.", "redis", value("keys")),
    Measure("redis_evicted_keys", "Keys that made room.", "redis", value("evicted_keys"), kind="counter"),
    Measure("redis_expired_keys", "Keys whose time was up.", "redis", value("expired_keys"), kind="counter"),
)
