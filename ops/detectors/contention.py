"""Lost races: deadlocks, serialization failures, lock timeouts and version conflicts, within a window."""

from typing import Any

from ops import board
from ops.conf import get_settings
from ops.detectors.looking import CannotLook, rows

TOO_MANY_DEADLOCKS = 5
SERIES = ("deadlocks", "serialization_failures", "lock_timeouts", "version_conflicts")
"""What the bank's own commands met with."""
DATABASE_SERIES = "database_deadlocks"
"""What PostgreSQL broke up in the whole database, the bank's or not: the monitor counts pg_stat_database's gains."""


def deadlocks(window: int | None = None) -> dict[str, Any]:
    """Counts within the last `window` seconds (DEADLOCK_WINDOW; the boards remember 600), in all processes of this
    machine, and `deadlocks_ever`: PostgreSQL's own count since its statistics began, None while it does not answer.

    `deadlock_count` is the larger of the two that tell of the same: PostgreSQL's is without those before the monitor
    ran, ours without other programs'."""
    window = min(window or get_settings().deadlock_window, 600)
    counts = board.totals([*SERIES, DATABASE_SERIES], window)
    try:
        ever = deadlocks_ever()
    except CannotLook:
        ever = None
    return {
        "window_seconds": window,
        **{name: counts[name] for name in (*SERIES, DATABASE_SERIES)},
        "deadlock_count": max(counts["deadlocks"], counts[DATABASE_SERIES]),
        "threshold": TOO_MANY_DEADLOCKS,
        "deadlocks_ever": ever,
    }


def deadlocks_ever() -> int:
    """
    Raises:
        CannotLook: PostgreSQL does not answer.
    """
    [row] = rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return int(row["deadlocks"])
