"""Moving a pool's ceiling by measured waits (POOL_AUTO_SCALING).

psycopg's pool opens connections by itself up to its ceiling, and closes those that stay unused for ten minutes down
to its floor. What moves here is the ceiling: it begins low, rises while callers wait, and sinks again when they have
long not needed it, so that a burst in one process does not keep PostgreSQL's connections from the others.

This is decided in each process for its own pool, by its own waits. POOL_MIN_CONNECTIONS and POOL_MAX_CONNECTIONS
are limits of each process as well: processes x POOL_MAX_CONNECTIONS must stay below PostgreSQL's max_connections.
Nothing divides that up; `/health/database` tells where it does not fit.
"""

import math
import time
from dataclasses import dataclass

import structlog
from psycopg_pool import ConnectionPool

from ops.conf import get_settings

log = structlog.get_logger(__name__)

FIRST_CEILING = 4
GROWTH = 1.5
TOLERABLE_WAIT_MS = 20.0
"""A mean wait of this second's requests, beyond which the ceiling rises."""
RISE_AGAIN_AFTER = 2.0
"""Seconds: a rise must have had time to help before the next."""
SINK_AFTER = 60.0
"""Seconds without a wait, and with less than half of the ceiling in use, before it sinks, and between two steps."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a pool went through within the last second."""

    in_use: int
    waiting: int
    requests: int
    wait_ms: int

    @property
    def under_pressure(self) -> bool:
        return self.waiting > 0 or self.wait_ms > TOLERABLE_WAIT_MS * max(self.requests, 1)


class Scaler:
    """Decides when a ceiling moves; times are of `time.monotonic`."""

    def __init__(self, floor: int, limit: int, now: float) -> None:
        self.floor = max(floor, min(FIRST_CEILING, limit), 1)
        self.limit = limit
        self.ceiling = self.floor
        self._moved_at = float("-inf")
        self._needed_at = now

    def decide(self, seen: Seen, now: float) -> int:
        """The ceiling from now on."""
        if seen.under_pressure or seen.in_use * 2 >= self.ceiling:
            self._needed_at = now
        if seen.under_pressure and now - self._moved_at >= RISE_AGAIN_AFTER:
            self._move(min(self.limit, math.ceil(self.ceiling * GROWTH)), now)
        elif now - max(self._needed_at, self._moved_at) >= SINK_AFTER:
            self._move(max(self.floor, math.floor(self.ceiling / GROWTH)), now)
        return self.ceiling

    def _move(self, ceiling: int, now: float) -> None:
        if ceiling != self.ceiling:
            self.ceiling, self._moved_at = ceiling, now


def begin(pool: ConnectionPool) -> Scaler | None:
    """Puts a new pool to the first ceiling, where the setting asks for it."""
    settings = get_settings()
    if not settings.pool_auto_scaling:
        return None
    scaler = Scaler(settings.pool_min_connections, settings.pool_max_connections, time.monotonic())
    pool.resize(settings.pool_min_connections, scaler.ceiling)
    return scaler


def adjust(pool: ConnectionPool, scaler: Scaler, seen: Seen) -> None:
    """Called once a second."""
    before, ceiling = pool.max_size, scaler.decide(seen, time.monotonic())
    if ceiling != before:
        pool.resize(pool.min_size, ceiling)
        log.info("pool_resized", ceiling=ceiling, before=before, waiting=seen.waiting, in_use=seen.in_use)
