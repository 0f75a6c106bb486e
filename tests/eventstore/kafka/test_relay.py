"""The relay writes every event, in order, into its shard's partition, whoever dies in between."""

import signal
import threading
from base64 import b64decode

import orjson
import psycopg
import pytest
from confluent_kafka.admin import NewTopic
from django.db import connection, connections

from eventstore import feed
from eventstore.errors import BrokenHistory
from eventstore.events import Context, NewEvent, new_id
from eventstore.kafka import clients, lease, letters, reading, term
from eventstore.kafka.relay import Relay
from eventstore.kafka.term import Term
from eventstore.models import DeadLetter, Event
from eventstore.projections import dead_letters
from eventstore.projections.checkpoints import Generation
from eventstore.store import append
from ops.conf import get_settings
from tests.bank import Bank
from tests.kafka import Kafka, is_relayed, relayed, wait_for


def some_history(bank: Bank, transfers: int = 10) -> None:
    accounts = [bank.open("100.00") for _ in range(5)]
    for number in range(transfers):
        bank.transfer(accounts[number % 5], accounts[(number + 1) % 5], "1.00")


def headers(message: object) -> dict[str, str]:
    return {name: value.decode() for name, value in message.headers()}  # type: ignore[attr-defined]


def test_every_event_lies_once_and_in_order_in_the_partition_of_its_shard(kafka: Kafka, bank: Bank) -> None:
    some_history(bank)
    relay = kafka.relay()
    wait_for(is_relayed)
    assert relay.stop() == 0

    stored = {event.position: event for event in Event.objects.all()}
    messages = kafka.messages(count=len(stored) + 1, within=3)
    assert len(messages) == len(stored)
    before: dict[int, int] = {}
    for message in messages:
        shown, body = headers(message), orjson.loads(message.value())
        event = stored.pop(int(shown["position"]))
        shard = feed.shard_of(event.aggregate_id, get_settings().shard_count)
        assert message.partition() == shard
        assert message.key() == str(event.aggregate_id).encode()
        assert int(shown["previous"]) == before.get(shard, 0)
        assert shown["event_id"] == str(event.event_id)
        assert shown["event_type"] == event.event_type
        assert (int(shown["version"]), int(shown["schema_version"])) == (event.version, event.schema_version)
        assert body["data"] == event.data
        assert body["metadata"] == event.metadata
        assert bytes.fromhex(body["hash"]) == bytes(event.hash)
        before[shard] = event.position
    assert not stored


def test_a_relay_goes_on_where_the_last_one_stopped(kafka: Kafka, bank: Bank) -> None:
    some_history(bank)
    first = kafka.relay()
    wait_for(is_relayed)
    assert first.stop() == 0
    some_history(bank)
    kafka.relay()
    wait_for(is_relayed)

    positions = sorted(int(headers(message)["position"]) for message in kafka.messages(count=1000, within=3))
    assert positions == list(Event.objects.order_by("position").values_list("position", flat=True))


def test_the_relay_reaches_the_mark_over_the_hole_of_a_rolled_back_append(
    kafka: Kafka, bank: Bank, sweeper: psycopg.Connection
) -> None:
    bank.open()
    sweeper.execute("SELECT nextval('events_position_seq')")
    kafka.relay()
    wait_for(lambda: relayed() == feed.mark())
    bank.open()
    wait_for(lambda: relayed() == feed.mark())
    assert len(kafka.messages(count=3, within=3)) == 2


def test_a_fenced_relay_moves_no_checkpoint(kafka: Kafka, bank: Bank) -> None:
    shards = get_settings().shard_count
    older = lease.take("t", "a", shards)
    assert older is not None
    assert lease.take("t", "b", shards) is None, "the lease was taken from a relay that is alive"
    lease.give_back(older)
    newer = lease.take("t", "b", shards)
    assert newer is not None

    with pytest.raises(lease.Fenced):
        lease.advance(older, 7, [7] * shards)
    with pytest.raises(lease.Fenced):
        lease.renew(older)
    lease.give_back(older)

    state = lease.state("t")
    assert state is not None
    assert (state.holder, state.epoch, state.alive, state.position) == ("b", newer.epoch, True, 0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_standby_takes_over_within_seconds_when_the_leader_dies_or_hangs(
    kafka: Kafka, bank: Bank, number: signal.Signals
) -> None:
    some_history(bank)
    leader = kafka.relay()
    wait_for(is_relayed)
    kafka.relay()
    leader.signal(number)
    some_history(bank)

    wait_for(is_relayed, 2 * lease.LEASE_SECONDS + 4)  # the standby may still be starting

    state = lease.state(get_settings().kafka_topic)
    assert state is not None
    assert f":{leader.pid}:" not in state.holder
    if number == signal.SIGSTOP:
        at = relayed()
        leader.signal(signal.SIGCONT)
        some_history(bank)
        wait_for(is_relayed)
        assert relayed() > at


def test_a_topic_with_another_number_of_partitions_is_refused(kafka: Kafka) -> None:
    topic = get_settings().kafka_topic
    admin = clients.admin()
    admin.create_topics([NewTopic(topic, 3, 1)], request_timeout=15)[topic].result(15)

    with pytest.raises(BrokenHistory, match="3 partitions"):
        Relay().run(threading.Event())


def test_relays_that_come_and_go_keep_no_connection(kafka: Kafka, bank: Bank) -> None:
    """Each failure begins a new term: a connection lost with each would end in an empty pool."""

    def in_use() -> int:
        stats = connection.pool.get_stats()
        return int(stats["pool_size"] - stats["pool_available"])

    some_history(bank)
    kafka.make_topics()
    shards, before = get_settings().shard_count, in_use()
    for _ in range(3):
        taken = lease.take(get_settings().kafka_topic, "test", shards)
        assert taken is not None
        with Term(taken, shards) as leading:
            while leading.step():
                pass
        lease.give_back(taken)
    assert is_relayed()
    wait_for(lambda: in_use() <= before, 5)


def test_each_message_names_the_one_before_it_also_across_batches_and_terms(
    kafka: Kafka, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BATCH", 3)
    monkeypatch.setattr(term, "WINDOW", 2)
    kafka.make_topics()
    shards = get_settings().shard_count
    for _ in range(2):
        some_history(bank)
        taken = lease.take(get_settings().kafka_topic, "test", shards)
        assert taken is not None
        with Term(taken, shards) as leading:
            while leading.step():
                pass
        lease.give_back(taken)

    before = dict.fromkeys(range(shards), 0)
    for message in kafka.messages(count=Event.objects.count(), within=10):
        partition = message.partition()
        assert partition is not None
        assert int(headers(message)["previous"]) == before[partition]
        before[partition] = int(headers(message)["position"])
    state = lease.state(get_settings().kafka_topic)
    assert state is not None
    assert state.shard_positions == list(before.values())


def test_told_to_stop_with_more_to_send_it_notes_what_it_has_sent(
    kafka: Kafka, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BATCH", 1)
    some_history(bank)
    kafka.make_topics()
    taken, stop = lease.take(get_settings().kafka_topic, "test", get_settings().shard_count), threading.Event()
    assert taken is not None
    with Term(taken, get_settings().shard_count, stop) as leading:
        assert leading.step() == 1
        assert relayed() == 0, "there is more to send before it waits"
        stop.set()
        leading.run()

    assert relayed() == Event.objects.order_by("position").values_list("position", flat=True)[0]


def test_an_event_too_large_for_a_message_does_not_stop_the_relay(
    kafka: Kafka, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "MESSAGE_BYTES", 50_000)
    stream = new_id()
    big = NewEvent(stream, "Noted", {"text": "x" * 60_000})
    append("note", [big], expected={stream: 0}, context=Context(actor="system:test", source="test"))
    account = bank.open("5.00")
    stop = threading.Event()

    def run() -> None:
        try:
            Relay().run(stop)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        wait_for(is_relayed)
    finally:
        stop.set()
        thread.join(20)

    assert {message.key().decode() for message in kafka.messages(count=3, within=3)} == {str(account)}  # type: ignore[union-attr]


def test_dead_letters_however_many_and_large_are_published_and_hold_up_no_event(kafka: Kafka, bank: Bank) -> None:
    stream, unreadable = new_id(), 120
    big = NewEvent(stream, "Noted", {"text": "x" * clients.MESSAGE_BYTES})
    append("note", [big], expected={stream: 0}, context=Context(actor="system:test", source="test"))
    for offset in range(unreadable):
        dead_letters.record_unreadable(
            topic="t", partition=0, offset=offset, key=None, value=b"x" * 300_000, error=ValueError("no event")
        )
    with connection.cursor() as cursor:
        (event,), _ = feed.read(after=0, upto=feed.mark(), limit=1)
        dead_letters.bury(cursor, Generation("transactions", 1), event, ValueError("too much"), 3)

    relay = kafka.relay()
    bank.open("5.00")
    wait_for(is_relayed)
    wait_for(lambda: not DeadLetter.objects.filter(published_at=None).exists())
    assert relay.stop() == 0

    copies = kafka.messages(get_settings().kafka_dead_letter_topic, count=unreadable + 2, within=5)
    bodies = [orjson.loads(copy.value() or b"") for copy in copies]
    assert sorted(body["id"] for body in bodies) == sorted(DeadLetter.objects.values_list("id", flat=True))
    assert [body["position"] for body in bodies if "event_data" not in body] == [event.position]
    assert sum(b64decode(body["message_value"]).startswith(b"xxx") for body in bodies if body["topic"]) == unreadable


def test_letters_that_arrive_while_a_relay_ends_are_marked(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "LEAVE_WITHIN", 20.0)
    dead_letters.record_unreadable(
        topic="t", partition=0, offset=0, key=None, value=b"x", error=ValueError("no event")
    )
    kafka.make_topics()
    ending = letters.Letters()
    ending.publish()

    ending.close()

    assert not DeadLetter.objects.filter(published_at=None).exists()
