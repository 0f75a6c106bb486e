"""The state of the bank, from the boards of its processes and from PostgreSQL's list of sessions.

The boards need neither database nor network, so this answers while everything else is down.
"""

import time
from collections.abc import Callable
from typing import Any

from ops import board, operations
from ops.detectors import CannotLook, blocked, held_connections, long_transactions, pool_pressure, stuck_operations

MOST = 500
"""Entries of one list in one answer; the count says how many there are."""


def system_state() -> dict[str, Any]:
    now = time.time()
    return {
        "processes": [
            {
                **seen.process,
                "uptime_seconds": round(now - seen.process["started"], 1),
                "in_hand": len(seen.slots),
                "facts": seen.facts,
            }
            for seen in board.boards()
        ],
        "operations_in_hand": board.in_hand(),
        "pool_pressure": pool_pressure(),
        "held_connections": held_connections(),
        "long_transactions": _looked(long_transactions),
        "blocked": _looked(blocked),
    }


def active_operations() -> dict[str, Any]:
    found = operations.active()
    return {"count": len(found), "operations": found[:MOST]}


def stuck() -> dict[str, Any]:
    found = stuck_operations()
    return {"count": len(found), "operations": found[:MOST]}


def _looked(detector: Callable[[], list[Any]]) -> dict[str, Any]:
    """What a detector finds in PostgreSQL, or that it cannot look."""
    try:
        found = detector()
    except CannotLook as error:
        return {"count": None, "entries": [], "error": str(error)}
    return {"count": len(found), "entries": found[:MOST], "error": None}
