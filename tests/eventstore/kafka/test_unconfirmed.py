"""While the brokers confirm nothing, the relay's checkpoint stays and its lease is kept."""

import threading
import time
from collections.abc import Iterator
from datetime import datetime

import pytest
from confluent_kafka import KafkaException
from django.db import connection, connections

from eventstore.kafka import lease, term
from eventstore.kafka.lease import Lease
from eventstore.kafka.letters import Letters
from eventstore.kafka.term import Term
from eventstore.models import DeadLetter
from eventstore.projections import dead_letters
from ops.conf import get_settings
from ops.embedded.ports import kept_or_free
from tests.bank import Bank
from tests.configured import configured
from tests.processes import wait_until

TOPIC = "unconfirmed"


@pytest.fixture(autouse=True)
def no_broker() -> Iterator[None]:
    """Where the brokers should be, nobody listens."""
    with configured(kafka_bootstrap_servers=f"127.0.0.1:{kept_or_free(None)}", kafka_operation_timeout=1):
        yield


def taken_by(holder: str) -> Lease:
    taken = lease.take(TOPIC, holder, get_settings().shard_count)
    assert taken is not None
    return taken


def leased_until() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT leased_until FROM relay_state WHERE topic = %s", (TOPIC,))
        found: datetime = cursor.fetchone()[0]
        return found


def test_what_the_brokers_did_not_confirm_is_not_noted(bank: Bank) -> None:
    bank.open("5.00")
    with Term(taken_by("a"), get_settings().shard_count) as leading, pytest.raises(KafkaException):
        leading.step()

    state = lease.state(TOPIC)
    assert state is not None
    assert state.position == 0
    assert set(state.shard_positions) == {0}


def test_the_lease_is_kept_while_the_brokers_are_waited_for(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(term, "RENEW_EVERY", 0.25)
    bank.open("5.00")
    with configured(kafka_operation_timeout=4), Term(taken_by("a"), get_settings().shard_count) as leading:
        began = time.monotonic()
        with pytest.raises(KafkaException):
            leading.step()
        assert time.monotonic() - began > 2
        assert lease.take(TOPIC, "b", get_settings().shard_count) is None, "the lease ran out meanwhile"


def test_a_relay_that_waits_for_the_brokers_hears_that_another_one_leads(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(term, "RENEW_EVERY", 0.25)
    bank.open("5.00")
    older = taken_by("a")
    with configured(kafka_operation_timeout=60), Term(older, get_settings().shard_count) as leading:
        lease.give_back(older)
        taken_by("b")
        with pytest.raises(lease.Fenced):
            leading.step()


def test_told_to_stop_it_waits_for_the_brokers_no_longer_than_it_may(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(term, "STOP_WITHIN", 0.5)
    bank.open("5.00")
    stop = threading.Event()
    stop.set()
    with configured(kafka_operation_timeout=60), Term(taken_by("a"), get_settings().shard_count, stop) as leading:
        began = time.monotonic()
        with pytest.raises(KafkaException, match="told to stop"):
            leading.step()
        assert time.monotonic() - began < 20
    state = lease.state(TOPIC)
    assert state is not None
    assert state.position == 0


def test_a_checkpoint_that_moves_renews_the_lease(db: None) -> None:
    taken = taken_by("a")
    before = leased_until()
    time.sleep(0.01)
    lease.advance(taken, 7, [7] * len(taken.shard_positions))
    assert leased_until() > before


def test_letters_that_did_not_arrive_are_not_marked_and_are_sent_again(db: None) -> None:
    dead_letters.record_unreadable(
        topic="t", partition=0, offset=0, key=None, value=b"x", error=ValueError("no event")
    )
    letters = Letters()
    letters.publish()
    assert letters._on_the_way == 1

    def heard() -> bool:
        letters._due = 0.0
        letters._producer.poll(0.1)
        return letters._on_the_way == 0

    wait_until(heard, 15)
    letters.publish()

    assert letters._on_the_way == 1, "it is on its way once more"
    letters.close()
    assert DeadLetter.objects.filter(published_at=None).count() == 1
    connections.close_all()
