"""What the boards alone tell, also while PostgreSQL is down: stuck operations, held connections, pool pressure."""

import time
from typing import Any

from ops import operations
from ops.database import pool_facts
from ops.detectors.findings import Finding, finding

LONGEST_STEP = 900.0
"""Seconds in one step after which an operation without a deadline counts as stuck. A rebuild compares whole tables
within ten minutes; everything else that takes long tells its progress."""
UTILIZATION = 0.8


def stuck_operations() -> list[Finding]:
    """Operations past their deadline, and those without one that have not moved for too long."""
    now = time.time()
    return [entry for op in operations.active() if (entry := _stuck(op, now)) is not None]


def _stuck(op: dict[str, Any], now: float) -> Finding | None:
    doing = f"{op['kind']} {op['name']}, {op['step'] or 'beginning'}"
    if op["deadline"] is not None:
        measured, threshold = op["age"], op["deadline"] - op["started"]
        reason = f"Past its deadline: {doing}."
    else:
        measured, threshold = now - op["step_since"], LONGEST_STEP
        reason = f"Has not moved: {doing}."
    if measured <= threshold:
        return None
    return finding("stuck_operation", op["id"], measured=measured, threshold=threshold, reason=reason, operation=op)


def held_connections() -> list[Finding]:
    """Pooled connections that somebody should have given back, with the stack that took them."""
    return [
        finding(
            "held_connection",
            f"{_named(pool)} backend {held['database_pid']} taken {held['since']:.0f}",
            measured=held["seconds"],
            threshold=held["threshold"],
            reason=f"{_named(pool)} holds a connection, {held['why']} ({held['thread']}).",
            process=pool["process"],
            **{key: value for key, value in held.items() if key != "threshold"},
        )
        for pool in pool_facts()
        for held in pool["held"]
    ]


def pool_pressure() -> list[Finding]:
    """Pools that are nearly or quite exhausted, each process's its own."""
    return [entry for pool in pool_facts() if (entry := _pressure(pool)) is not None]


def _pressure(pool: dict[str, Any]) -> Finding | None:
    recent = pool["last_second"]
    signs = [
        f"{pool['in_use']} of {pool['limit']} connections in use" if pool["utilization"] > UTILIZATION else "",
        f"{pool['waiting']} callers wait" if pool["waiting"] else "",
        f"{recent['errors']} callers went without in the last second" if recent["errors"] else "",
    ]
    if not any(signs):
        return None
    return finding(
        "pool_pressure",
        _named(pool),
        measured=pool["utilization"],
        threshold=UTILIZATION,
        unit="of the pool",
        reason=f"{_named(pool)}: {', '.join(filter(None, signs))}.",
        **{key: pool[key] for key in ("process", "in_use", "limit", "max", "waiting", "wait_ms", "last_second")},
    )


def _named(pool: dict[str, Any]) -> str:
    return f"{pool['process']['role']} {pool['process']['host']}:{pool['process']['pid']}"
