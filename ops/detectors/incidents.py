"""Findings on record: an incident begins with the look that sees it first and ends with the one that does not."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import QuerySet

from ops.detectors.findings import Finding
from ops.detectors.models import Incident
from ops.detectors.outages import OUTAGE

log = structlog.get_logger(__name__)

MOST_AT_ONCE = 200
"""Findings of one look that are recorded; more than this are one trouble, which the first ones show."""
KEPT = 10_000
"""Ended incidents; older ones go."""
RESUMED_WITHIN = timedelta(minutes=5)
"""A server that falls silent again so soon has the same outage still: one that comes and goes makes one incident."""


def record(findings: Sequence[Finding], kinds: Collection[str], now: datetime) -> None:
    """Begins, continues and ends incidents. Only those of `kinds` end: of others nothing was looked at."""
    seen = {(found["kind"], found["subject"]): found for found in findings[:MOST_AT_ONCE]}
    with transaction.atomic():
        for found in seen.values():
            if found["kind"] == OUTAGE:
                _resume(found["subject"], now, ended_at=None)
        is_open = {(i.kind, i.subject): i for i in Incident.objects.select_for_update().filter(ended_at=None)}
        begun = [_begin(found, now) for key, found in seen.items() if key not in is_open]
        Incident.objects.bulk_create(begun, ignore_conflicts=True)
        lasting = [incident.pk for key, incident in is_open.items() if key in seen]
        ended = [i for key, i in is_open.items() if key not in seen and i.kind in kinds]
        Incident.objects.filter(pk__in=lasting).update(last_seen_at=now)
        Incident.objects.filter(pk__in=[incident.pk for incident in ended]).update(ended_at=now)
    for incident in begun:
        log.warning("incident_began", kind=incident.kind, subject=incident.subject, reason=incident.reason)
    for incident in ended:
        lasted = round((now - incident.began_at).total_seconds(), 1)
        log.info("incident_ended", kind=incident.kind, subject=incident.subject, seconds=lasted)


def record_past(found: Finding, began: datetime, ended: datetime) -> None:
    """An outage that could not be recorded while it lasted."""
    if not _resume(found["subject"], began, ended_at=ended):
        incident = _begin(found, began)
        incident.last_seen_at = incident.ended_at = ended
        incident.save()
    lasted = round((ended - began).total_seconds(), 1)
    log.warning("incident_recorded_afterwards", kind=OUTAGE, subject=found["subject"], seconds=lasted)


def _resume(subject: str, now: datetime, *, ended_at: datetime | None) -> bool:
    """Whether an outage has ended so lately that this is the same one, which then lasts until `ended_at`."""
    lately = Incident.objects.filter(kind=OUTAGE, subject=subject, ended_at__gt=now - RESUMED_WITHIN)
    again = lately.order_by("-id").first()
    if again is None or Incident.objects.filter(kind=OUTAGE, subject=subject, ended_at=None).exists():
        return False
    detail = again.detail | {"times": again.detail.get("times", 1) + 1}
    Incident.objects.filter(pk=again.pk).update(ended_at=ended_at, last_seen_at=ended_at or now, detail=detail)
    return True


def _begin(found: Finding, now: datetime) -> Incident:
    measures = {key: found[key] for key in ("measured", "threshold", "unit")}
    return Incident(
        kind=found["kind"],
        subject=found["subject"],
        reason=found["reason"],
        detail=measures | found["detail"],
        began_at=now,
        last_seen_at=now,
    )


def note_resolution(kind: str, subject: str, what: str) -> None:
    """Says of an open incident what is being done about it."""
    Incident.objects.filter(kind=kind, subject=subject, ended_at=None).update(resolution=what[:200])


def prune(limit: int = 10_000) -> int:
    """Removes ended incidents beyond `KEPT`, at most `limit`; returns how many."""
    ids = list(_superfluous().values_list("id", flat=True)[:limit])
    return Incident.objects.filter(id__in=ids).delete()[0]


def superfluous(limit: int) -> int:
    """How many `prune` would remove, counted up to `limit`."""
    return _superfluous()[:limit].count()


def _superfluous() -> QuerySet[Incident]:
    """Newest first: those that come after the `KEPT` newest."""
    ended = Incident.objects.exclude(ended_at=None).order_by("-id")
    oldest_kept = ended.values_list("id", flat=True)[KEPT - 1 : KEPT].first() if KEPT else None
    return ended.filter(id__lt=oldest_kept) if oldest_kept is not None else ended.none()
