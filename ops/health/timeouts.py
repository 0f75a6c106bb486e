"""How often components do not answer in time, and which are left alone for that."""

from typing import Any

from ops import board
from ops.conf import get_settings
from ops.health.report import Limit, Report, judge
from ops.timeouts import rates
from ops.timeouts.attempts import WINDOW

ENOUGH_ATTEMPTS = 10
"""Attempts within the window from which on a rate says something."""
LIMITS = (
    Limit("timeout_rate", "calls to {slowest} time out", degraded=0.1, unhealthy=0.5),
    Limit("breakers_open", "left alone after failing: {left_alone}", degraded=0),
)


def check_timeouts() -> Report:
    """Timeouts of attempts in the last minute, by all processes of this machine."""
    return judge(timeout_values(), LIMITS, well="calls are answered in time")


def timeout_values() -> dict[str, Any]:
    """`timeout_rate` is that of `slowest`, the worst component with enough attempts; None where there is none."""
    found = rates()
    telling = {
        name: rate.timeout_rate
        for name, rate in found.items()
        if rate.timeout_rate is not None and rate.attempts >= ENOUGH_ATTEMPTS
    }
    breakers = breaker_states()
    open_ones = [name for states in breakers.values() for name, state in states.items() if state != "closed"]
    return {
        "timeout_rate": max(telling.values(), default=None),
        "slowest": max(telling, key=telling.__getitem__, default=None),
        "breakers_open": len(open_ones),
        "left_alone": ", ".join(sorted(set(open_ones))),
        "window_seconds": WINDOW,
        "components": {
            name: {
                "attempts": rate.attempts,
                "timeouts": rate.timeouts,
                "errors": rate.errors,
                "timeout_rate": None if rate.timeout_rate is None else round(rate.timeout_rate, 4),
                "limit_seconds": getattr(get_settings(), SETTINGS[name]),
                "setting": SETTINGS[name].upper(),
            }
            for name, rate in found.items()
        },
        "breakers": breakers,
    }


SETTINGS = {
    "database": "db_operation_timeout",
    "cache": "cache_operation_timeout",
    "kafka": "kafka_operation_timeout",
    "redis": "redis_operation_timeout",
    "projection": "batch_processing_timeout",
    "batch": "batch_processing_timeout",
    "health": "health_check_timeout",
}
"""What bounds each component."""


def breaker_states() -> dict[str, dict[str, str]]:
    """By process ("server.py 4711"): its breakers, "closed", "half_open" or "open"."""
    return {
        f"{seen.process['command']} {seen.process['pid']}": seen.facts["breakers"]
        for seen in board.boards()
        if seen.facts.get("breakers")
    }
