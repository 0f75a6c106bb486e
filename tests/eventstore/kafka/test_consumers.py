"""Read models follow Kafka exactly once, whatever comes twice, late, unreadable or not at all."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any
from uuid import UUID

import orjson
import psycopg
import pytest
from confluent_kafka import Message, TopicPartition
from django.core.management import call_command
from django.db import connection
from structlog.testing import capture_logs

from accounts.models import DailyBalance, JournalLine, LedgerDay, Transaction
from eventstore import feed, projections
from eventstore.events import Context, NewEvent, new_id
from eventstore.kafka import clients
from eventstore.kafka.consumer import Member
from eventstore.models import Event, ProjectionState
from eventstore.projections.runner import Runner, catch_up
from eventstore.store import append
from ops.conf import get_settings
from tests.bank import Bank
from tests.kafka import Kafka, Process, is_applied, is_relayed, wait_for


def some_history(bank: Bank, transfers: int = 20) -> None:
    accounts = [bank.open("100.00") for _ in range(5)]
    for number in range(transfers):
        bank.transfer(accounts[number % 5], accounts[(number + 1) % 5], "1.00")


def content() -> list[object]:
    """The read models, row by row."""
    return [
        list(Transaction.objects.order_by("pk").values()),
        list(JournalLine.objects.order_by("pk").values()),
        list(
            DailyBalance.objects.order_by("account_id", "day").values(
                "account_id", "day", "closing_balance", "postings"
            )
        ),
        list(
            LedgerDay.objects.order_by("day", "currency", "ledger_account").values(
                "day", "currency", "ledger_account", "credits", "debits", "lines"
            )
        ),
    ]


def letters() -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT state, error FROM dead_letters ORDER BY id")
        return list(cursor.fetchall())


def again(message: Message) -> dict[str, Any]:
    """What it takes to send a message once more."""
    return {name: getattr(message, name)() for name in ("key", "value", "headers", "partition")}


def unpublished() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM dead_letters WHERE published_at IS NULL")
        return int(cursor.fetchone()[0])


@contextmanager
def member() -> Iterator[Member]:
    """A consumer in this process, in a thread of its own."""
    for projection in projections.registered():
        Runner(projection)
    stop = threading.Event()
    found = Member(projections.registered(), stop)
    thread = threading.Thread(target=found.run)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def shift(process: Process) -> None:
    """A relay's work, from start to an orderly end."""
    wait_for(is_relayed)
    assert process.stop() == 0


def test_the_read_models_that_came_by_kafka_equal_those_of_the_feed(kafka: Kafka, bank: Bank) -> None:
    some_history(bank)
    kafka.relay()
    consumers = kafka.consumers()
    some_history(bank)
    wait_for(is_applied)
    assert consumers.stop() == 0
    by_kafka = content()
    call_command("verify_ledger")

    for name in ("transactions", "journal", "daily_balances", "ledger_days"):
        call_command("rebuild_projection", name)
    assert content() == by_kafka


def test_under_steady_load_messages_alone_carry_the_read_models(kafka: Kafka, bank: Bank) -> None:
    """The feed mends what messages fail to bring, so that outcomes would be right also if none of them fitted."""
    kafka.relay()
    some_history(bank, transfers=1)
    with member() as consumer:
        wait_for(lambda: len(consumer.owned) == consumer.shards and is_applied())
        with capture_logs() as logs:
            for _ in range(10):
                some_history(bank, transfers=30)
            wait_for(is_applied)

    told = {entry["event"] for entry in logs if entry["event"].startswith(("projection_", "message_", "consumer_"))}
    assert told == set()
    call_command("verify_ledger")


def test_row_13_what_came_while_no_consumer_ran_is_applied_afterwards(kafka: Kafka, bank: Bank) -> None:
    """Row 13: offsets were never committed and reset to latest."""
    kafka.relay()
    first = kafka.consumers()
    some_history(bank)
    wait_for(is_applied)
    assert first.stop() == 0

    some_history(bank)
    wait_for(is_relayed)
    with member():
        wait_for(is_applied)

    call_command("verify_ledger")
    assert sum(_committed().values()) == Event.objects.count(), "not all offsets were committed"


def _committed() -> dict[int, int]:
    consumer = clients.consumer()
    try:
        asked = [TopicPartition(get_settings().kafka_topic, shard) for shard in range(get_settings().shard_count)]
        return {place.partition: max(0, place.offset) for place in consumer.committed(asked, timeout=15)}
    finally:
        consumer.close()


def test_switching_between_feed_and_kafka_neither_loses_nor_repeats(kafka: Kafka, bank: Bank) -> None:
    some_history(bank)
    catch_up(projections.registered())
    kafka.relay()
    some_history(bank)
    with member():
        wait_for(is_applied)
    some_history(bank)
    catch_up(projections.registered())
    some_history(bank)
    with member():
        some_history(bank)
        wait_for(is_applied)
    before = content()
    catch_up(projections.registered())

    assert content() == before
    assert Transaction.objects.count() == 5 * 45
    call_command("verify_ledger")


def test_feed_runner_and_consumer_at_the_same_time_apply_each_event_once(kafka: Kafka, bank: Bank) -> None:
    kafka.relay()
    with member():
        for _ in range(5):
            some_history(bank)
            catch_up(projections.registered())
        wait_for(is_applied)
    call_command("verify_ledger")


def test_a_message_that_comes_twice_is_applied_once(kafka: Kafka, bank: Bank) -> None:
    some_history(bank)
    shift(kafka.relay())
    messages = kafka.messages(count=Event.objects.count())
    kafka.send(*(again(message) for message in messages[::-1]))

    with member():
        wait_for(is_applied)
        wait_for(lambda: sum(_committed().values()) == 2 * len(messages))
    call_command("verify_ledger")
    assert letters() == []


def test_row_12_a_message_that_is_no_event_is_kept_and_stops_nothing(kafka: Kafka, bank: Bank) -> None:
    """Row 12: unreadable messages vanished. Here each goes to the dead letters, and what it may have hidden is
    taken from the feed."""
    account = bank.open("10.00")
    shard = feed.shard_of(account, get_settings().shard_count)
    shift(kafka.relay())
    good = kafka.messages(count=2)[0]
    key, headers = good.key(), dict(good.headers())
    stranger = {**headers, "position": b"1000000000000"}
    zeros = "0" * 36
    garbage = [
        {"value": None},
        {"value": b"\xff\xfe", "headers": {}},
        {"key": b"k\0"},
        {"key": None},
        {"key": zeros, "partition": feed.shard_of_text(zeros, get_settings().shard_count)},
        {"key": key[::-1]},
        {"headers": {**headers, "position": b"1; DROP TABLE"}},
        {"headers": {**headers, "position": b"1" + b"0" * 30}},
        {"headers": {**headers, "position": b"-1"}},
        {"partition": (shard + 1) % get_settings().shard_count},
        {"headers": stranger},
        {"headers": {**headers, "event_id": str(new_id()).encode()}},
        {"key": str(_another_of(shard)).encode()},
    ]
    whole = {"key": key, "value": good.value(), "headers": headers, "partition": shard}
    kafka.send(*({**whole, **message} for message in garbage))
    relay = kafka.relay()
    with member():
        bank.deposit(account, "1.00")
        wait_for(is_applied)
        wait_for(lambda: len(letters()) == len(garbage))
        wait_for(lambda: unpublished() == 0)
    copies = kafka.messages(get_settings().kafka_dead_letter_topic, count=len(garbage) + 1, within=3)
    assert len(copies) == len(garbage), "a dead letter was published twice, or not at all"

    assert {state for state, _ in letters()} == {"unreadable"}
    reasons = " ".join(error for _, error in letters())
    assert all(words in reasons for words in ("is empty", "belongs to partition", "not in the books", "DROP TABLE"))
    assert relay.stop() == 0
    call_command("verify_ledger")


def _another_of(shard: int) -> UUID:
    """A stream that would belong to the shard, if there were one."""
    return next(found for found in iter(new_id, None) if feed.shard_of(found, get_settings().shard_count) == shard)


def test_a_forged_value_changes_no_account(kafka: Kafka, bank: Bank) -> None:
    """Whoever can write to the topic can repeat events, and make none: rows come from the books."""
    account = bank.open("10.00")
    shard = feed.shard_of(account, get_settings().shard_count)
    shift(kafka.relay())
    for message in kafka.messages(count=2):
        forged = orjson.loads(message.value() or b"")
        forged["data"]["amount"] = forged["data"]["balance"] = 10**9
        kafka.send({**again(message), "value": orjson.dumps(forged), "partition": shard})
    admin, topic = clients.admin(), get_settings().kafka_topic
    admin.delete_records([TopicPartition(topic, shard, 2)], request_timeout=15)  # the genuine ones

    with member():
        wait_for(is_applied)
    assert list(Transaction.objects.values_list("account_id", "amount")) == [(account, 1000)]
    call_command("verify_ledger")


@pytest.mark.parametrize("genuine", [0, 1])
def test_a_message_that_denies_the_events_before_it_hides_none(kafka: Kafka, bank: Bank, genuine: int) -> None:
    account = bank.open("10.00")
    catch_up(projections.registered())
    for _ in range(3):
        bank.deposit(account, "1.00")
    events = list(Event.objects.order_by("position"))
    kafka.make_topics()
    honest = [message_of(event, previous=before.position) for before, event in pairwise(events)]
    kafka.send(*honest[-3 : -3 + genuine], message_of(events[-1], previous=0))

    with member():
        wait_for(lambda: sum(_committed().values()) == genuine + 1)
        wait_for(is_applied)
    assert letters() == []
    call_command("verify_ledger")


def message_of(event: Event, previous: int) -> dict[str, Any]:
    headers = {"event_id": event.event_id, "position": event.position, "previous": previous}
    return {
        "key": str(event.aggregate_id),
        "value": b"{}",
        "headers": {name: str(value) for name, value in headers.items()},
        "partition": feed.shard_of(event.aggregate_id, get_settings().shard_count),
    }


def test_what_was_removed_from_the_topic_is_taken_from_the_feed(kafka: Kafka, bank: Bank) -> None:
    some_history(bank)
    shift(kafka.relay())
    admin, topic = clients.admin(), get_settings().kafka_topic
    everything = [TopicPartition(topic, shard, -1) for shard in range(get_settings().shard_count)]

    def is_removed() -> bool:
        """A partition of a topic that was just made has no leader for a moment."""
        errors = [future.exception(15) for future in admin.delete_records(everything, request_timeout=15).values()]
        return not any(errors)

    wait_for(is_removed)
    assert kafka.messages(count=1, within=2) == []

    with member():  # shards in which nothing more happens have to be found too
        wait_for(is_applied)
        kafka.relay()
        some_history(bank)
        wait_for(is_applied)
    call_command("verify_ledger")


def test_a_topic_that_was_deleted_comes_back_and_nothing_is_missing(kafka: Kafka, bank: Bank) -> None:
    some_history(bank)
    kafka.relay()
    with member():
        wait_for(is_applied)
        admin, topic = clients.admin(), get_settings().kafka_topic
        admin.delete_topics([topic], operation_timeout=15)[topic].result(15)
        some_history(bank)
        wait_for(is_relayed, 60)
        wait_for(is_applied, 60)
    call_command("verify_ledger")


def test_an_unknown_event_type_pauses_a_projection_and_crashes_nobody(kafka: Kafka, bank: Bank) -> None:
    """Row 15, through Kafka: it is never skipped; what does not care for it goes on."""
    kafka.relay()
    some_history(bank)
    stranger = new_id()
    context = Context(actor="system:test", source="test")
    with member():
        wait_for(is_applied)
        append("account", [NewEvent(stranger, "AccountGilded", {})], expected={stranger: 0}, context=context)

        def is_paused() -> bool:
            """transactions is paused"""
            return ProjectionState.objects.get(name="transactions").state == "paused"

        wait_for(is_paused)
    assert "AccountGilded" in ProjectionState.objects.get(name="transactions").reason


def test_a_projection_that_failed_for_a_while_catches_up_from_the_feed(
    kafka: Kafka, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eventstore.projections.applying import ProjectionBroken

    def broken(*_: object, **__: object) -> None:
        raise ProjectionBroken("for now")

    count = len(projections.registered())
    kafka.relay()
    with member(), monkeypatch.context() as patch:
        patch.setattr("eventstore.kafka.follower.apply_events", broken)
        some_history(bank)
        wait_for(lambda: ProjectionState.objects.filter(state="failed").count() == count)
        assert not Transaction.objects.exists()
        patch.undo()
        wait_for(is_applied, 45)
        wait_for(lambda: ProjectionState.objects.filter(state="running").count() == count)
    call_command("verify_ledger")


def test_a_new_read_model_begins_with_the_first_event(kafka: Kafka, bank: Bank, sweeper: psycopg.Connection) -> None:
    some_history(bank)
    kafka.relay()
    with member():
        wait_for(is_applied)
    sweeper.execute("DELETE FROM transactions")
    sweeper.execute("UPDATE projection_checkpoints SET position = 0 WHERE projection = 'transactions'")

    with member():
        wait_for(is_applied)
    call_command("verify_ledger")


def test_row_23_sigterm_ends_busy_consumers_cleanly(kafka: Kafka, bank: Bank) -> None:
    """Row 23: shutdown left queued writes unwritten."""
    relay, consumers = kafka.relay(), kafka.consumers(2)
    for _ in range(5):
        some_history(bank)
    wait_for(lambda: Transaction.objects.exists())
    assert consumers.stop() == 0
    assert relay.stop() == 0

    kafka.relay()
    with member():
        wait_for(is_applied)
    call_command("verify_ledger")
