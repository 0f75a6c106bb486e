"""What a check says: a status, why, what was measured, and which thresholds that crossed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["healthy", "degraded", "unhealthy"]
ORDER: tuple[Status, ...] = ("healthy", "degraded", "unhealthy")


def worst(statuses: Iterable[Status]) -> Status:
    return max(statuses, key=ORDER.index, default="healthy")


@dataclass(frozen=True, slots=True)
class Crossed:
    """A threshold that a measured value lies beyond."""

    value: str
    measured: float
    threshold: float
    status: Status


@dataclass(frozen=True, slots=True)
class Limit:
    """From where on a value is `degraded` or `unhealthy`: above these, or with `least` below. `said` is what it means
    for people, with other values by their names in braces. A value that was not measured (None) crosses nothing."""

    value: str
    said: str
    degraded: float | None = None
    unhealthy: float | None = None
    least: bool = False

    def crossed(self, measured: float | None) -> Crossed | None:
        if measured is None:
            return None
        for status, threshold in (("unhealthy", self.unhealthy), ("degraded", self.degraded)):
            if threshold is not None and (measured < threshold if self.least else measured > threshold):
                return Crossed(self.value, measured, threshold, status)  # type: ignore[arg-type]
        return None


@dataclass(frozen=True, slots=True)
class Report:
    """The state of one component."""

    status: Status
    reason: str
    values: dict[str, Any] = field(default_factory=dict)
    """JSON-ready; units are in the names."""
    thresholds: Sequence[Crossed] = ()


def judge(values: dict[str, Any], limits: Iterable[Limit], *, well: str) -> Report:
    """Holds values against limits; `well` is the reason where none is crossed."""
    crossed, reasons = [], []
    for limit in limits:
        if found := limit.crossed(values.get(limit.value)):
            crossed.append(found)
            beyond = f"{'below' if limit.least else 'above'} {_short(found.threshold)}"
            said = limit.said.format_map(values)
            reasons.append(f"{said} ({limit.value} {_short(found.measured)}, {beyond})")
    return Report(worst(found.status for found in crossed), "; ".join(reasons) or well, values, tuple(crossed))


def _short(number: float) -> str:
    return f"{number:.4g}" if isinstance(number, float) else str(number)
