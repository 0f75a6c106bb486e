"""What lies above the feed's mark is not read yet, also where a message names it."""

import threading

import psycopg

from eventstore import feed
from eventstore.feed import Ref
from eventstore.kafka.consumer import Member
from eventstore.models import Event
from ops.conf import get_settings
from tests.bank import Bank


def test_an_event_is_taken_only_when_nothing_can_appear_before_it_any_more(
    bank: Bank, sweeper: psycopg.Connection
) -> None:
    ann = bank.open()
    member = Member([], threading.Event())

    def missing() -> set[int]:
        event = Event.objects.latest("position")
        ref = Ref(event.position, str(ann), feed.shard_of(ann, get_settings().shard_count))
        return member._look_up([(ref, 0, str(event.event_id))])[1]

    with sweeper.transaction():
        sweeper.execute("SELECT hold_feed()")
        bank.deposit(ann, "1.00")
        assert missing() == {0}, "an append that is still open may put an event before it"

    assert missing() == set()
