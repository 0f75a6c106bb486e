"""What is in hand, what is stuck, who waits for whom, and whether the monitor looks."""

from collections import Counter
from typing import Any

from ops import board, operations
from ops.conf import get_settings
from ops.detectors import CannotLook, blocked, deadlocks, stuck_operations
from ops.detectors.contention import TOO_MANY_DEADLOCKS
from ops.health.report import Limit, Report, judge

SHOWN = 20
BLOCKED_LIMITS = (
    Limit("deadlock_count", "many deadlocks", degraded=TOO_MANY_DEADLOCKS),
    Limit("longest_wait_seconds", "a session waits long for a lock", degraded=5, unhealthy=60),
)


def check_deadlocks() -> Report:
    """Deadlocks within a window, and who waits for whose lock right now."""
    values = deadlocks()
    try:
        waiting = [session for session in blocked() if session["waiting_for"]]
    except CannotLook:
        return Report("unhealthy", "PostgreSQL, which knows who waits for whom, does not answer", values)
    values["waiting_sessions"] = len(waiting)
    values["longest_wait_seconds"] = max((entry["waiting_for"]["seconds"] for entry in waiting), default=0.0)
    values["blocked"] = waiting[:SHOWN]
    return judge(values, BLOCKED_LIMITS, well="nobody waits long, and deadlocks are few")


def check_operations() -> Report:
    """Operations in hand in all processes of this machine, and those of them that are stuck."""
    settings = get_settings()
    active, stuck = operations.active(), stuck_operations()
    most = settings.max_concurrent_operations
    in_hand = board.in_hand()
    values: dict[str, Any] = {
        "in_hand": in_hand,
        "most": most,
        "utilization": round(in_hand / most, 4),
        "stuck": len(stuck),
        "refused_last_minute": board.total("operations_refused", 60),
        "by_kind": dict(Counter(entry["kind"] for entry in active)),
        "oldest_seconds": round(max((entry["age"] for entry in active), default=0.0), 3),
        "unseen": int(bool(board.unseen())),
        "board_error": board.unseen(),
        "stuck_operations": [finding["reason"] for finding in stuck[:SHOWN]],
    }
    limits = (
        Limit("stuck", "operations are stuck", degraded=0),
        Limit("unseen", f"nobody sees what this process does: BOARD_DIR: {board.unseen()}", degraded=0),
        Limit("utilization", "as many operations are in hand as the bank takes", degraded=0.8, unhealthy=0.999),
    )
    return judge(values, limits, well="operations come and go")
