"""Days of the books: UTC days, by the moment of recording."""

from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone

from eventstore.following import age_of_what_lacks

SETTLED_AFTER = timedelta(minutes=5)
"""After the last day's end, nothing of that day can be on its way any more: commands are given up sooner."""


def begin_of(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def end_of(day: date) -> datetime:
    """The first moment after it."""
    return begin_of(day) + timedelta(days=1)


def lacks_of(read_model: str, day: date) -> bool:
    """Whether a read model may lack something that was recorded on that day or before. Ask before its figures are
    read: these may then be newer, never older."""
    age = age_of_what_lacks(read_model)
    return age is not None and timezone.now() - timedelta(seconds=age) < end_of(day)
