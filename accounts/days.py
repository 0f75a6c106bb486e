"""Days of the books: UTC days, by the moment of recording."""

from datetime import UTC, date, datetime, time, timedelta

from django.db import connection
from django.utils import timezone

from eventstore.following import age_of_what_lacks
from eventstore.models import Event
from eventstore.projections import checkpoints, dead_letters
from eventstore.projections.dead_letters import left_out_in_words

SETTLED_AFTER = timedelta(minutes=5)
"""After the last day's end, nothing of that day can be on its way any more: commands are given up sooner."""


def begin_of(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def end_of(day: date) -> datetime:
    """The first moment after it."""
    return begin_of(day) + timedelta(days=1)


def lacks_of(read_model: str, day: date) -> str:
    """What a read model may lack of all that was recorded until the end of a day, and what to do about it, in words;
    "" where it has it all. Ask before its figures are read: these may then be newer, never older."""
    age = age_of_what_lacks(read_model)
    if age is not None and timezone.now() - timedelta(seconds=age) < end_of(day):
        return (
            f"the read model {read_model} lacks postings of {day} or before. It catches up by itself while services "
            "run; ask again in a moment."
        )
    with connection.cursor() as cursor:
        letters = dead_letters.left_out(cursor, checkpoints.active(cursor, read_model))
    until_then = Event.objects.filter(position__in=letters, timestamp__lt=end_of(day))
    return left_out_in_words(read_model, [letters[each] for each in until_then.values_list("position", flat=True)])
