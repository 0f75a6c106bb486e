"""What the store refuses, and what it must not take for something else."""

from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection, transaction

from accounts.domain.commands import Deposit
from accounts.domain.money import Money
from accounts.services import Envelope, Executed, execute, executor, idempotency_key
from eventstore import feed, store
from eventstore.appending import Append, CommandStamp, Opening, StreamHead, held_streams
from eventstore.errors import (
    BrokenHistory,
    LockTimeout,
    OptimisticConcurrencyConflict,
    OutcomeUnknown,
    StoreBusy,
    StreamNotFound,
)
from eventstore.events import Context, NewEvent, new_id
from eventstore.hashing import GENESIS, canonical_json
from eventstore.idempotency import IdempotencyKey
from eventstore.models import Event, Stream
from eventstore.transaction import write_transaction
from ops.conf import get_settings
from ops.timeouts import connection as bounded
from tests.bank import Bank
from tests.outages import halted, may_halt
from tests.processes import wait_until

CONTEXT = Context(actor="system:test", source="test")

pytestmark = pytest.mark.usefixtures("db")


def note(aggregate_id: UUID, **data: Any) -> NewEvent:
    return NewEvent(aggregate_id, "Noted", data)


def write(heads: dict[UUID, StreamHead], *streams: UUID, aggregate_type: str = "note") -> None:
    """One event for each stream, by somebody who believes in these heads."""
    pending = Append(heads, aggregate_type)
    stamp = CommandStamp(new_id(), datetime.now(UTC), b"{}")
    for aggregate_id in streams:
        pending.add(note(aggregate_id), stamp)
    with write_transaction() as exchange:
        pending.write(exchange)


def test_an_event_for_a_stream_without_an_expected_version_is_refused() -> None:
    one, two = new_id(), new_id()
    with pytest.raises(ValueError, match=f"no expected version for \\['{two}'\\]"):
        store.append("note", [note(one), note(two)], expected={one: 0}, context=CONTEXT)
    assert not Event.objects.exists()


@pytest.mark.parametrize(("until", "told"), [("the append", StoreBusy), ("the commit", OutcomeUnknown)])
def test_a_server_that_falls_silent_is_told_by_whether_the_commit_had_been_sent(
    monkeypatch: pytest.MonkeyPatch, sweeper: psycopg.Connection, until: str, told: type[Exception]
) -> None:
    """Only before that is it certain that nothing happened."""
    monkeypatch.setattr(bounded, "GRACE", 1 - get_settings().db_operation_timeout)  # one second in all
    monkeypatch.setattr(bounded, "CANCEL_WITHIN", 0.5)
    one = new_id()
    session = 0

    def append(silence: ExitStack) -> None:
        nonlocal session
        with write_transaction() as exchange:
            pending = Append(Opening(exchange, [one]).fetch().heads, "note")
            pending.add(note(one), CommandStamp(new_id(), datetime.now(UTC), b"{}"))
            session = connection.connection.info.backend_pid
            assert may_halt(session)
            silence.enter_context(halted(session))
            answer = pending.write(exchange)
            if until == "the append":
                answer.value()

    with ExitStack() as silence, pytest.raises((StoreBusy, OutcomeUnknown)) as error:
        append(silence)
    # What was sent is done when the server goes on: before the next test, not in its midst.
    wait_until(lambda: not sweeper.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (session,)).fetchall())

    assert type(error.value) is told
    if told is StoreBusy:
        assert "gave no answer in time" in str(error.value)
        assert not Event.objects.exists()


def test_an_append_of_nothing_writes_nothing_and_still_compares_versions() -> None:
    one = new_id()
    assert isinstance(store.append("note", [], expected={one: 0}, context=CONTEXT), UUID)
    with pytest.raises(OptimisticConcurrencyConflict):
        store.append("note", [], expected={one: 1}, context=CONTEXT)
    assert not Stream.objects.exists()


def test_a_stream_that_is_not_as_far_as_was_believed_is_named_with_where_it_is() -> None:
    there, missing = sorted([new_id(), new_id()])
    store.append("note", [note(there)], expected={there: 0}, context=CONTEXT)
    head = Stream.objects.get()
    right = StreamHead(there, 1, bytes(head.head_hash), head.last_timestamp)

    with pytest.raises(OptimisticConcurrencyConflict) as conflict:
        write({there: right, missing: StreamHead(missing, 3, GENESIS)}, there, missing)

    assert (conflict.value.aggregate_id, conflict.value.expected, conflict.value.actual) == (missing, 3, 0)
    assert Event.objects.count() == 1
    assert Stream.objects.get().version == 1


def test_a_stream_that_is_missing_is_not_begun_in_its_midst_beside_one_that_is_new() -> None:
    new, missing = new_id(), new_id()

    with pytest.raises(OptimisticConcurrencyConflict) as conflict:
        write({missing: StreamHead(missing, 3, GENESIS)}, new, missing)

    assert (conflict.value.aggregate_id, conflict.value.expected, conflict.value.actual) == (missing, 3, 0)
    assert not Stream.objects.exists()


def test_a_stream_of_one_type_takes_no_event_of_another() -> None:
    one = new_id()
    store.append("note", [note(one)], expected={one: 0}, context=CONTEXT)
    before = list(Event.objects.values())

    with pytest.raises(OptimisticConcurrencyConflict):
        store.append("letter", [note(one)], expected={one: 1}, context=CONTEXT)

    assert list(Event.objects.values()) == before
    assert Stream.objects.get().version == 1


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_stream_with_a_hole_is_not_folded_over_it(bank: Bank, sweeper: psycopg.Connection, version: int) -> None:
    ann = bank.open("1.00")
    bank.freeze(ann)
    bank.unfreeze(ann)
    sweeper.execute("DELETE FROM events WHERE version = %s", (version,))

    with pytest.raises(BrokenHistory, match=f"has no version {version}"):
        store.load(ann, use_snapshots=False)


def test_a_stream_is_read_up_to_the_earlier_of_a_version_and_a_moment(bank: Bank) -> None:
    ann = bank.open("1.00")
    bank.deposit(ann, "1.00")
    moments = list(Event.objects.order_by("version").values_list("timestamp", flat=True))

    def version(upto: int | None, moment: int | None) -> int:
        as_of = None if moment is None else moments[moment - 1]
        return store.load(ann, upto_version=upto, as_of=as_of).version

    assert [version(1, 2), version(2, 1), version(None, 2), version(2, None), version(9, 3)] == [1, 1, 2, 2, 3]
    with pytest.raises(StreamNotFound):
        store.load(ann, as_of=moments[0] - (moments[2] - moments[0]) - datetime.resolution)


@pytest.mark.parametrize(
    "data", [{"a": 0.5}, {"a": {"b": 0.5}}, {"a": [1, 0.5]}, {"a": [{"b": [[0.5]]}]}, {"a": 1.0}]
)
def test_no_float_is_hidden_deep_enough(data: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="no floats"):
        canonical_json(data)


def test_one_object_has_one_form_however_it_was_put_together() -> None:
    assert canonical_json({"b": [1], "a": {"d": None, "c": "é"}}) == '{"a":{"c":"é","d":null},"b":[1]}'.encode()


def test_where_a_scope_ends_and_its_key_begins_makes_another_lock() -> None:
    assert IdempotencyKey("ab", "c", b"").lock_pair() != IdempotencyKey("a", "bc", b"").lock_pair()


def test_two_callers_may_choose_the_same_key(bank: Bank) -> None:
    ann = bank.open()
    command = Deposit(ann, Money(100, "EUR"))

    def by(scope: str) -> Any:
        envelope = bank.envelope(command)
        key = idempotency_key(scope=scope, key="k", command=command)
        return Envelope(envelope.command, envelope.context, key)

    [one] = execute([by("client:one")])
    [two] = execute([by("client:two")])
    again, other = execute([by("client:one"), by("client:two")])

    assert isinstance(one, Executed)
    assert isinstance(two, Executed)
    assert (one.replayed, two.replayed) == (False, False)
    assert [again.transaction_id, other.transaction_id] == [one.transaction_id, two.transaction_id]  # type: ignore[union-attr]
    assert bank.balance(ann) == 200


def test_a_short_wait_for_locks_is_of_its_own_batch_alone(bank: Bank, sweeper: psycopg.Connection) -> None:
    ann = bank.open("1.00")

    def limit() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            return str(cursor.fetchone()[0])

    before = limit()
    with sweeper.transaction():
        sweeper.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (ann,))
        with pytest.raises(LockTimeout):
            executor._execute([bank.envelope(Deposit(ann, Money(1, "EUR")))], patience_ms=20)
    [outcome] = executor._execute([bank.envelope(Deposit(ann, Money(1, "EUR")))], patience_ms=20)

    assert isinstance(outcome, Executed)
    assert limit() == before != "20ms"


@pytest.mark.parametrize(
    "lock",
    [
        "pg_advisory_lock(4711)",
        "pg_advisory_lock_shared(4711)",
        f"pg_advisory_lock({0x0E << 56} | 1)",
        f"pg_advisory_lock({0x0F << 24}, 1)",
    ],
)
def test_a_lock_that_is_no_append_s_holds_no_feed_back(bank: Bank, sweeper: psycopg.Connection, lock: str) -> None:
    bank.open()
    last = Event.objects.latest("position").position
    sweeper.execute(f"SELECT {lock}")
    try:
        assert feed.mark() == last
    finally:
        sweeper.execute("SELECT pg_advisory_unlock_all()")


def test_an_append_holds_the_feed_back_at_its_own_position_however_high(
    bank: Bank, sweeper: psycopg.Connection
) -> None:
    """Positions fill the lower seven bytes of the lock."""
    bank.open()
    last = Event.objects.latest("position").position
    for held in (last - 1, last):
        sweeper.execute(f"SELECT pg_advisory_lock_shared({0x0F << 56} | {held})")
        try:
            assert feed.mark() == held
        finally:
            sweeper.execute("SELECT pg_advisory_unlock_all()")
    sweeper.execute(f"SELECT pg_advisory_lock_shared({0x0F << 56} | {1 << 50})")
    try:
        assert feed.mark() == last
    finally:
        sweeper.execute("SELECT pg_advisory_unlock_all()")


def test_who_asks_which_streams_are_held_locks_no_others(sweeper: psycopg.Connection) -> None:
    asked, other = new_id(), new_id()
    store.append("note", [note(asked), note(other)], expected={asked: 0, other: 0}, context=CONTEXT)
    with transaction.atomic():
        assert held_streams([asked]) == set()
        sweeper.execute("SELECT FROM streams WHERE aggregate_id = %s FOR NO KEY UPDATE NOWAIT", (other,))
