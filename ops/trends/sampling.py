"""Taking samples, and reading them."""

import itertools
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from django.db import Error
from django.utils import timezone

from ops.health.registry import registered_checks
from ops.health.running import run_checks
from ops.timeouts import within
from ops.trends.models import Sample
from ops.trends.registry import Trend, registered_trends, sources

log = structlog.get_logger(__name__)

EVERY = 60.0
"""Seconds between two samples."""
KEPT = timedelta(hours=48)
SOURCE_WITHIN = 10.0
"""Seconds that a source may take."""
SHOWN = timedelta(hours=6)
MOST_POINTS = 400


def sample() -> int:
    """Takes one, removes those past `KEPT`, and returns how many figures it has.

    Raises:
        DatabaseError: PostgreSQL does not take it.
    """
    now = timezone.now()
    figures = _of_checks() | _of_sources()
    Sample.objects.bulk_create(Sample(at=now, name=name, value=value) for name, value in figures.items())
    Sample.objects.filter(at__lt=now - KEPT).delete()
    return len(figures)


def _of_checks() -> dict[str, Decimal]:
    trends, checks = registered_trends(), registered_checks()
    wanted = {trend.component for trend in trends}
    told = run_checks([check for name, check in checks.items() if name in wanted])
    values = {trend.name: told[trend.component]["values"].get(trend.value) for trend in trends}
    return {name: Decimal(str(value)) for name, value in values.items() if isinstance(value, (int, float))}


def _of_sources() -> dict[str, Decimal]:
    figures: dict[str, Decimal] = {}
    for source in sources():
        try:
            with within(SOURCE_WITHIN):
                figures |= {name: Decimal(value) for name, value in source().items()}
        except Error as error:
            log.warning("trend_source_failed", source=source.__qualname__, error=repr(error))
    return figures


def series(trend: Trend) -> list[tuple[datetime, Decimal]]:
    """What is drawn: the last hours, in the order of time, `MOST_POINTS` at most."""
    found = Sample.objects.filter(name=trend.name, at__gte=timezone.now() - SHOWN).order_by("-at")
    points = list(found.values_list("at", "value")[:MOST_POINTS])[::-1]
    if not trend.per_minute:
        return points
    return [
        (at, max(Decimal(0), (value - before) * 60 / Decimal(max(1.0, (at - since).total_seconds()))))
        for (since, before), (at, value) in itertools.pairwise(points)
    ]


def latest(prefix: str, *, since: datetime) -> tuple[datetime | None, Mapping[str, Decimal]]:
    """The figures whose names begin so, of the last sample that has any, and when that was; none before `since`."""
    found = Sample.objects.filter(name__startswith=prefix, at__gte=since)
    at = found.order_by("-at").values_list("at", flat=True).first()
    return at, dict(found.filter(at=at).values_list("name", "value")) if at else {}
