"""Moments for those who read answers: inside of the bank some are Unix times, in answers all are ISO 8601, in UTC."""

from datetime import UTC, datetime
from typing import Any

INSTANTS = frozenset({"at", "deadline", "reset_at", "since", "started", "step_since", "told"})
"""What such a number is called, on boards and in what detectors find."""


def in_iso(told: Any) -> Any:
    """The same, with each Unix time as a moment: {"started": "2026-01-31T14:30:00.123+00:00"}."""
    if isinstance(told, dict):
        return {name: _instant(value) if name in INSTANTS else in_iso(value) for name, value in told.items()}
    return [in_iso(value) for value in told] if isinstance(told, (list, tuple)) else told


def _instant(value: Any) -> Any:
    if not isinstance(value, float):
        return in_iso(value)
    return datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds")
