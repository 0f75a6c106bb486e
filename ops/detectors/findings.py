"""What a detector reports."""

from typing import Any, TypedDict


class Finding(TypedDict):
    """Something that is not as it should be, JSON-ready. `subject` names it as long as it lasts: kind and subject
    together are the same finding at the next look."""

    kind: str
    subject: str
    measured: float
    threshold: float
    unit: str
    reason: str
    """One sentence for people."""
    detail: dict[str, Any]


def finding(
    kind: str, subject: str, *, measured: float, threshold: float, reason: str, unit: str = "seconds", **detail: Any
) -> Finding:
    return Finding(
        kind=kind,
        subject=subject[:200],
        measured=round(measured, 3),
        threshold=round(threshold, 3),
        unit=unit,
        reason=reason,
        detail=detail,
    )
