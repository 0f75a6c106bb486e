"""What goes wrong while the bank runs, found by looking: at the boards of its processes and into PostgreSQL.

Detectors change nothing and store nothing. `manage.py run_monitor` calls them again and again, records what begins
and ends, and, where ENABLE_AUTO_RESOLUTION asks for it, ends what is stuck; `ops.detectors.monitor.last_run()` tells
whether it lives.
"""

from ops.detectors.blocking import blocked, long_transactions
from ops.detectors.boards import held_connections, pool_pressure, stuck_operations
from ops.detectors.contention import deadlocks
from ops.detectors.findings import Finding
from ops.detectors.looking import CannotLook

__all__ = [
    "CannotLook",
    "Finding",
    "blocked",
    "deadlocks",
    "held_connections",
    "long_transactions",
    "pool_pressure",
    "stuck_operations",
]
