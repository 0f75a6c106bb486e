"""Appending: many streams at once, each at its expected version, all or nothing."""

from uuid import UUID

import pytest
from django.db import transaction

from eventstore import store
from eventstore.appending import Append, CommandStamp
from eventstore.errors import OptimisticConcurrencyConflict
from eventstore.events import Context, NewEvent, new_id
from eventstore.models import Event, Stream
from eventstore.transaction import write_transaction
from tests.threads import together

CONTEXT = Context(actor="system:test", source="test", reason="why not", correlation_id="c-1", causation_id="e-1")

pytestmark = pytest.mark.usefixtures("db")


def note(aggregate_id: UUID, text: str = "x") -> NewEvent:
    return NewEvent(aggregate_id, "Noted", {"text": text})


def test_streams_grow_from_version_one_without_holes() -> None:
    one, two = new_id(), new_id()
    store.append("note", [note(one), note(two), note(one)], expected={one: 0, two: 0}, context=CONTEXT)
    store.append("note", [note(one)], expected={one: 2}, context=CONTEXT)

    assert list(Event.objects.filter(aggregate_id=one).order_by("position").values_list("version", flat=True)) == [
        1,
        2,
        3,
    ]
    assert Stream.objects.get(aggregate_id=two).version == 1


def test_events_of_a_call_take_positions_in_the_order_in_which_they_happened() -> None:
    ids = [new_id() for _ in range(50)]
    events = [note(ids[number % 50], str(number)) for number in range(500)]
    store.append("note", events, expected=dict.fromkeys(ids, 0), context=CONTEXT)

    texts = [event.data["text"] for event in Event.objects.order_by("position")]
    assert texts == [str(number) for number in range(500)]


def test_a_stream_elsewhere_refuses_the_whole_call_and_says_where_it_is() -> None:
    one, two = new_id(), new_id()
    store.append("note", [note(one)], expected={one: 0}, context=CONTEXT)

    with pytest.raises(OptimisticConcurrencyConflict) as conflict:
        store.append("note", [note(two), note(one)], expected={two: 0, one: 0}, context=CONTEXT)

    assert (conflict.value.aggregate_id, conflict.value.expected, conflict.value.actual) == (one, 0, 1)
    assert Event.objects.count() == 1
    assert not Stream.objects.filter(aggregate_id=two).exists()


def test_the_database_itself_finds_a_conflict_that_the_caller_overlooked() -> None:
    one = new_id()
    store.append("note", [note(one)], expected={one: 0}, context=CONTEXT)
    stale = Append({}, "note")  # believes that the stream is new
    stale.add(note(one), CommandStamp(new_id(), Event.objects.get().timestamp, b"{}"))

    def write() -> None:
        with write_transaction() as exchange:
            stale.write(exchange)

    with pytest.raises(OptimisticConcurrencyConflict) as conflict:
        write()

    assert (conflict.value.expected, conflict.value.actual) == (0, 1)
    assert Event.objects.count() == 1


def test_of_writers_at_one_version_exactly_one_wins() -> None:
    one = new_id()
    store.append("note", [note(one)], expected={one: 0}, context=CONTEXT)

    def attempt() -> bool:
        try:
            store.append("note", [note(one)], expected={one: 1}, context=CONTEXT)
        except OptimisticConcurrencyConflict:
            return False
        return True

    assert sorted(together([attempt] * 8)) == [False] * 7 + [True]
    assert Stream.objects.get(aggregate_id=one).version == 2


def test_an_event_tells_who_why_and_what_caused_it() -> None:
    one = new_id()
    command_id = store.append("note", [note(one)], expected={one: 0}, context=CONTEXT)

    event = Event.objects.get()
    assert event.command_id == command_id
    assert event.metadata == {
        "actor": "system:test",
        "source": "test",
        "reason": "why not",
        "correlation_id": "c-1",
        "causation_id": "e-1",
    }


def test_money_as_a_float_never_reaches_the_books() -> None:
    one = new_id()
    with pytest.raises(TypeError, match="no floats"):
        store.append("note", [NewEvent(one, "Paid", {"amount": 0.1})], expected={one: 0}, context=CONTEXT)
    assert not Event.objects.exists()


def test_an_append_inside_another_transaction_is_refused() -> None:
    one = new_id()
    with pytest.raises(RuntimeError, match="transaction of their own"), transaction.atomic():
        store.append("note", [note(one)], expected={one: 0}, context=CONTEXT)
    assert not Event.objects.exists()
