"""What came in and went out today (UTC): what crosses the bank's border, not transfers
between its accounts."""

from datetime import UTC, datetime, time

from django.db import connection

from eventstore.models import Event

SOURCE_PREFIX = "money_"
TURNOVER = """
    SELECT currency, sum(amount) FILTER (WHERE amount > 0), sum(amount) FILTER (WHERE amount < 0)
      FROM transactions WHERE position >= %s AND contra NOT LIKE 'account:%%' AND recorded_at >= %s GROUP BY currency
"""
OVERLAP = 10_000
"""Positions: more than all appends that can be under way at once."""
_first_of_day: dict[datetime, int] = {}


def midnight() -> datetime:
    return datetime.combine(datetime.now(UTC).date(), time(), UTC)


def turnover() -> dict[str, int]:
    """Minor units by "money_in:EUR" and "money_out:EUR" (zero or less); for `ops.trends`.

    It reads today's postings only, from the position with which the day began.
    """
    since = midnight()
    with connection.cursor() as cursor:
        cursor.execute(TURNOVER, (_first_position(since), since))
        rows = cursor.fetchall()
    figures = {}
    for currency, came, went in rows:
        figures[f"{SOURCE_PREFIX}in:{currency}"] = int(came or 0)
        figures[f"{SOURCE_PREFIX}out:{currency}"] = int(went or 0)
    return figures


def _first_position(since: datetime) -> int:
    """No later than the first event recorded at or after that moment. Positions and times run together but for
    appends that overlap, so the search, which halves the books some 24 times, goes back a little."""
    if since not in _first_of_day:
        low, high = 0, Event.objects.order_by("-position").values_list("position", flat=True).first() or 0
        while low < high:
            middle = (low + high) // 2
            at = (
                Event.objects.filter(position__gte=middle).order_by("position").values_list("timestamp", flat=True)
            ).first()
            low, high = (middle + 1, high) if at is not None and at < since else (low, middle)
        _first_of_day.clear()
        _first_of_day[since] = max(0, low - OVERLAP)
    return _first_of_day[since]
