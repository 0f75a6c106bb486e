"""The feed misses nothing and keeps the order of each stream, whatever writers do at the same time."""

import os
import random
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest

from eventstore import feed, store
from eventstore.appending import Append, CommandStamp, Opening
from eventstore.errors import BrokenHistory, OptimisticConcurrencyConflict
from eventstore.events import Context, NewEvent, new_id
from eventstore.feed import Ref
from eventstore.models import Event, Stream
from eventstore.transaction import write_transaction
from tests.bank import Bank
from tests.configured import configured
from tests.threads import together

WRITERS = 24
APPENDS = 120
"""By each writer: some 11 events an append, 32,000 in all."""
CONTEXT = Context(actor="system:test", source="test")

pytestmark = pytest.mark.usefixtures("db")


def test_an_open_append_holds_the_feed_back_until_it_ends(bank: Bank) -> None:
    bank.open()
    bank.deposit(bank.open(), "1.00")
    steady = feed.mark()
    assert steady == Event.objects.latest("position").position

    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as slow:
        slow.execute("SELECT hold_feed()")
        later = bank.open()
        assert feed.mark() == steady  # the later append is committed, yet not safe to read past
        assert Event.objects.filter(aggregate_id=later).exists()
        slow.rollback()

    assert feed.mark() > steady


def test_the_very_first_append_of_a_bank_holds_the_feed_at_nothing(bank: Bank, sweeper: psycopg.Connection) -> None:
    [last] = sweeper.execute("SELECT last_value FROM events_position_seq").fetchone() or [0]
    sweeper.execute("SELECT setval('events_position_seq', 1, false)")
    try:
        with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as first:
            first.execute("SELECT hold_feed()")
            first.execute("SELECT nextval('events_position_seq')")
            bank.open()
            assert feed.mark() == 0, "the event of position 1 may still appear"
            first.rollback()
        assert feed.mark() == Event.objects.get().position == 2
    finally:
        sweeper.execute(
            "SELECT setval('events_position_seq', greatest(%s, last_value)) FROM events_position_seq", (last,)
        )


def test_a_rolled_back_append_leaves_a_hole_that_stops_nobody(bank: Bank, sweeper: psycopg.Connection) -> None:
    bank.open()
    sweeper.execute("SELECT nextval('events_position_seq')")
    bank.open()

    events, _ = feed.read(after=0, upto=feed.mark(), limit=100)
    assert [event.position for event in events] == list(
        Event.objects.order_by("position").values_list("position", flat=True)
    )


@pytest.mark.parametrize("width", [1, 3, 7])
def test_a_hole_that_is_wider_than_what_is_read_at_once_hides_nothing_behind_it(
    bank: Bank, sweeper: psycopg.Connection, width: int
) -> None:
    bank.open()
    before = feed.mark()
    sweeper.execute("SELECT nextval('events_position_seq') FROM generate_series(1, %s)", (width,))
    bank.open()
    after = feed.mark()
    assert after == before + width + 1

    events, reached = feed.read(after=before, upto=after, limit=1)

    assert ([event.position for event in events], reached) == ([after], after)
    sweeper.execute("SELECT nextval('events_position_seq') FROM generate_series(1, %s)", (width,))
    assert feed.read(after=after, upto=after + width, limit=1) == ([], after + width), "nor is it looked at twice"


def test_who_has_read_further_than_may_be_read_is_not_sent_back(bank: Bank) -> None:
    bank.open()
    end = feed.mark()
    assert feed.read(after=end + 3, upto=end, limit=10) == ([], end + 3)


def test_what_fits_no_event_by_position_stream_and_id_is_told_from_what_does(bank: Bank) -> None:
    bank.open("1.00")
    events = list(Event.objects.order_by("position"))
    refs = [Ref(event.position, str(event.aggregate_id), 0) for event in events]
    ids = [str(event.event_id) for event in events]
    kinds = {(event.event_type, event.schema_version) for event in events}

    assert feed.types_of(refs) == feed.types_of(refs, ids) == kinds
    assert feed.strangers(refs, ids) == set()
    last = refs[-1]
    for wrong in (last._replace(position=last.position + 1), last._replace(aggregate_id=str(new_id()))):
        assert (None, None) in feed.types_of([*refs[:-1], wrong])
        assert (None, None) in feed.types_of([*refs[:-1], wrong], ids)
        assert feed.strangers([*refs[:-1], wrong], ids) == {len(refs) - 1}
    assert feed.types_of(refs, ids[::-1]) == {(None, None)}
    assert feed.strangers(refs, ids[::-1]) == {0, 1}


def test_with_another_number_of_shards_than_the_store_was_begun_with_nothing_goes_on() -> None:
    begun_with = feed.require_shard_count()
    with configured(shard_count=begun_with + 1), pytest.raises(BrokenHistory, match=f"set it back to {begun_with}"):
        feed.require_shard_count()
    assert feed.require_shard_count() == begun_with


@pytest.mark.timeout(180)
def test_24_writers_with_delays_and_rollbacks_and_a_reader_that_misses_nothing() -> None:
    """Each writer appends to streams of its own and to shared ones, sometimes waits inside its transaction, and
    rolls back one time in ten. The reader follows the mark all the while. Seed is printed on failure."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    shared = [new_id() for _ in range(6)]
    stop = threading.Event()
    seen: list[tuple[int, UUID, int]] = []
    seen_naively: set[int] = set()

    def read_naively() -> None:
        """Trusts that positions appear in order, as a reader without the mark would."""
        after = 0
        while not stop.is_set():
            found = Event.objects.filter(position__gt=after).order_by("position").values_list("position", flat=True)
            for after in found[:5000]:
                seen_naively.add(after)

    def read() -> None:
        after = 0
        while True:
            ended = stop.is_set()
            upto = feed.mark()
            while after < upto:
                events, after = feed.read(after=after, upto=upto, limit=5000)
                seen.extend((event.position, event.aggregate_id, event.version) for event in events)
            if ended:
                return
            time.sleep(0.001)

    def write(number: int) -> None:
        dice = random.Random(seed + number)
        own = [new_id() for _ in range(20)]
        versions: dict[UUID, int] = dict.fromkeys(own, 0)
        for _ in range(APPENDS):
            targets = dice.sample(own, dice.randint(1, 8))
            events = [NewEvent(target, "Noted", {"n": n}) for target in targets for n in range(dice.randint(1, 4))]
            dice.shuffle(events)
            expected = {target: versions[target] for target in targets}
            try:
                _append_hesitantly(events, expected, dice)
            except _Cancelled:
                continue
            for event in events:
                versions[event.aggregate_id] += 1
            if dice.random() < 0.2:
                _append_to_shared(dice.choice(shared))

    def writers() -> None:
        try:
            together([lambda number=number: write(number) for number in range(WRITERS)])
        finally:
            stop.set()

    together([read, read_naively, writers])

    positions = [position for position, _, _ in seen]
    stored = list(Event.objects.order_by("position").values_list("position", flat=True))
    assert len(stored) > 20_000, "too little happened for this to prove anything"
    assert positions == stored, f"seed {seed}: {len(set(stored) - set(positions))} events missed"
    assert max(seen_naively) > positions[len(positions) // 2]
    assert set(stored[: len(stored) // 2]) - seen_naively, "nothing was there to be missed: this proves nothing"
    last: dict[UUID, int] = {}
    for _, aggregate_id, version in seen:
        assert version == last.get(aggregate_id, 0) + 1, f"seed {seed}: out of order within a stream"
        last[aggregate_id] = version


def _append_to_shared(stream: UUID) -> None:
    head = Stream.objects.filter(aggregate_id=stream).values_list("version", flat=True).first() or 0
    with suppress(OptimisticConcurrencyConflict):  # another writer may be first
        store.append("note", [NewEvent(stream, "Noted", {})], expected={stream: head}, context=CONTEXT)


class _Cancelled(Exception):
    """The writer changed its mind."""


def _append_hesitantly(events: list[NewEvent], expected: dict[UUID, int], dice: random.Random) -> None:
    """An append that sometimes waits after its positions are drawn, and sometimes rolls back then."""
    with write_transaction() as exchange:
        pending = Append(Opening(exchange, expected).fetch().heads, "note")
        assert {stream: pending.head(stream).version for stream in expected} == expected
        stamp = CommandStamp(new_id(), datetime.now(UTC), b"{}")
        for event in events:
            pending.add(event, stamp)
        pending.write(exchange).value()
        if dice.random() < 0.3:
            time.sleep(dice.random() * 0.03)
        if dice.random() < 0.1:
            raise _Cancelled
