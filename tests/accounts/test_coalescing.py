"""Commands that arrive together are one batch, and none of them can hurt the others."""

import os
import queue
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connections
from prometheus_client import REGISTRY

from accounts.domain.commands import CaptureHold, Deposit, Transfer
from accounts.domain.errors import Refusal
from accounts.services import Envelope, Executed, Outcome, begin_one, coalescing, execute_one, executor
from accounts.verification import verify
from eventstore.appending import held_streams
from eventstore.models import Event
from tests.bank import Bank

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The size of each batch that the line of this process executes."""
    sizes: list[int] = []
    run = executor._together._run_batch

    def counting(envelopes: Sequence[Envelope], patience_ms: int | None) -> list[Outcome]:
        sizes.append(len(envelopes))
        return run(envelopes, patience_ms)

    monkeypatch.setattr(executor._together, "_run_batch", counting)
    return sizes


@pytest.fixture
def crowd() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


@pytest.fixture
def stranger(bank: Bank) -> Iterator[psycopg.Connection]:
    """A session that is not the bank's, in a transaction of its own."""
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"], application_name="psql") as conn:
        yield conn
        conn.rollback()


def send(envelope: Envelope) -> Any:
    """What became of it: the outcome, or the error."""
    try:
        return execute_one(envelope)
    except Exception as error:
        return error
    finally:
        connections.close_all()


def test_a_lone_command_waits_for_nobody(bank: Bank, batches: list[int]) -> None:
    bank.deposit(bank.open(), "1.00")
    assert batches == [1, 1]


def test_commands_that_arrive_together_share_a_transaction_and_each_gets_its_own_outcome(
    bank: Bank, batches: list[int], crowd: ThreadPoolExecutor
) -> None:
    rich, poor = bank.open("100.00"), bank.open()
    batches.clear()
    envelopes = [
        bank.envelope(Transfer(rich if number % 4 else poor, poor if number % 4 else rich, bank.money("1.00")))
        for number in range(96)
    ]
    random.Random(1).shuffle(envelopes)

    outcomes = list(crowd.map(send, envelopes))

    assert sum(batches) == 96
    assert max(batches) > 1, "nothing was gathered"
    executed = [outcome for outcome in outcomes if isinstance(outcome, Executed)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    assert len(executed) + len(refused) == 96, outcomes
    assert len({outcome.transaction_id for outcome in executed}) == len(executed)
    for envelope, outcome in zip(envelopes, outcomes, strict=True):
        if isinstance(outcome, Executed):
            assert outcome.result["accounts"][0]["id"] == str(envelope.command.account_id), "somebody else's answer"
    moved = Event.objects.filter(event_type="TransferSent").count()
    assert moved == len(executed)
    assert verify().differences == 0


def test_a_blocked_account_holds_up_its_own_commands_only(
    bank: Bank, crowd: ThreadPoolExecutor, stranger: psycopg.Connection
) -> None:
    blocked, others = bank.open(), [bank.open() for _ in range(15)]
    stranger.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (blocked,))
    waits = crowd.submit(send, bank.envelope(Deposit(blocked, bank.money("1.00"))))
    time.sleep(0.05)

    began = time.monotonic()
    outcomes = list(crowd.map(send, [bank.envelope(Deposit(other, bank.money("1.00"))) for other in others]))
    took = time.monotonic() - began

    assert all(isinstance(outcome, Executed) for outcome in outcomes), outcomes
    assert took < 2.5
    assert not waits.done()
    stranger.rollback()
    assert isinstance(waits.result(timeout=10), Executed)


def test_the_first_to_come_goes_on_alone_when_its_account_is_blocked(
    bank: Bank, stranger: psycopg.Connection, crowd: ThreadPoolExecutor
) -> None:
    blocked, other = bank.open(), bank.open()
    timed_out = batches_timed_out()
    stranger.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (blocked,))
    waits = crowd.submit(send, bank.envelope(Deposit(blocked, bank.money("1.00"))))
    time.sleep(3 * coalescing.PATIENCE_MS / 1000)

    began = time.monotonic()
    assert isinstance(send(bank.envelope(Deposit(other, bank.money("1.00")))), Executed)
    assert time.monotonic() - began < 0.5
    assert not waits.done()
    stranger.rollback()
    assert isinstance(waits.result(timeout=10), Executed)
    assert batches_timed_out() == timed_out, "it only went on beside the line"


def batches_timed_out() -> float:
    return REGISTRY.get_sample_value("component_calls_total", {"component": "batch", "outcome": "timeout"}) or 0.0


def test_a_hot_account_takes_commands_from_many_callers_without_a_conflict(
    bank: Bank, crowd: ThreadPoolExecutor, batches: list[int]
) -> None:
    hot = bank.open("1000.00")
    begun_at = Event.objects.filter(aggregate_id=hot).count()
    spokes: list[UUID] = [bank.open() for _ in range(8)]
    outcomes = list(
        crowd.map(
            send,
            [bank.envelope(Transfer(hot, spokes[number % 8], bank.money("0.01"))) for number in range(200)],
        )
    )
    assert all(isinstance(outcome, Executed) for outcome in outcomes)
    versions = Event.objects.filter(aggregate_id=hot).order_by("version").values_list("version", flat=True)
    assert list(versions) == list(range(1, begun_at + 201))


def test_callers_who_do_not_wait_share_batches_with_those_who_do(
    bank: Bank, crowd: ThreadPoolExecutor, batches: list[int]
) -> None:
    account_id = bank.open()
    batches.clear()
    told: queue.Queue[Any] = queue.Queue()
    envelopes = [bank.envelope(Deposit(account_id, bank.money("0.01"))) for _ in range(200)]
    waited = [crowd.submit(send, envelope) for envelope in envelopes[:100]]
    for envelope in envelopes[100:]:
        begin_one(envelope, told.put)

    outcomes = [each.result(timeout=10) for each in waited] + [told.get(timeout=10) for _ in range(100)]

    assert all(isinstance(outcome, Executed) for outcome in outcomes), outcomes
    assert len({outcome.transaction_id for outcome in outcomes}) == 200
    assert told.empty()
    assert sum(batches) == 200
    assert max(batches) > 1
    assert bank.balance(account_id) == 200


def test_a_blocked_account_holds_up_its_own_commands_only_also_of_those_who_do_not_wait(
    bank: Bank, stranger: psycopg.Connection
) -> None:
    blocked, others = bank.open(), [bank.open() for _ in range(15)]
    stranger.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (blocked,))
    held: queue.Queue[Any] = queue.Queue()
    free: queue.Queue[Any] = queue.Queue()
    for account_id in (*others[:7], blocked, *others[7:]):
        begin_one(
            bank.envelope(Deposit(account_id, bank.money("1.00"))), held.put if account_id == blocked else free.put
        )

    assert all(isinstance(free.get(timeout=2.5), Executed) for _ in others)
    assert held.empty()
    stranger.rollback()
    assert isinstance(held.get(timeout=10), Executed)


def test_many_commands_for_a_blocked_account_keep_none_of_another_waiting(
    bank: Bank, stranger: psycopg.Connection
) -> None:
    blocked, others = bank.open(), [bank.open() for _ in range(40)]
    stranger.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (blocked,))
    held: queue.Queue[Any] = queue.Queue()
    free: queue.Queue[Any] = queue.Queue()
    for other in others:
        begin_one(bank.envelope(Deposit(blocked, bank.money("1.00"))), held.put)
        begin_one(bank.envelope(Deposit(other, bank.money("1.00"))), free.put)

    assert all(isinstance(free.get(timeout=2.5), Executed) for _ in others)
    assert held.empty()
    stranger.rollback()
    assert all(isinstance(held.get(timeout=10), Executed) for _ in others)
    assert verify().differences == 0


def test_who_waited_for_a_blocked_account_keeps_no_connection(bank: Bank, stranger: psycopg.Connection) -> None:
    blocked = bank.open()
    stranger.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (blocked,))
    told: queue.Queue[Any] = queue.Queue()
    for _ in range(coalescing.BESIDE):
        begin_one(bank.envelope(Deposit(blocked, bank.money("1.00"))), told.put)
    time.sleep(3 * coalescing.PATIENCE_MS / 1000)
    stranger.rollback()
    assert all(isinstance(told.get(timeout=10), Executed) for _ in range(coalescing.BESIDE))

    connections.close_all()

    pool, deadline = connections["default"].pool, time.monotonic() + 3
    while (stats := pool.get_stats())["pool_available"] < stats["pool_size"]:
        assert time.monotonic() < deadline, stats
        time.sleep(0.01)


def test_captures_on_a_blocked_account_keep_none_of_another_waiting(bank: Bank, stranger: psycopg.Connection) -> None:
    """They name a hold, and whose account it is on is for the books to say."""
    blocked, others = bank.open("100.00"), [bank.open("1.00") for _ in range(40)]
    of_blocked, of_others = [bank.hold(blocked, "1.00") for _ in others], [bank.hold(each, "1.00") for each in others]
    stranger.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (blocked,))
    held: queue.Queue[Any] = queue.Queue()
    free: queue.Queue[Any] = queue.Queue()
    for one, other in zip(of_blocked, of_others, strict=True):
        begin_one(bank.envelope(CaptureHold(one)), held.put)
        begin_one(bank.envelope(CaptureHold(other)), free.put)

    assert all(isinstance(free.get(timeout=2.5), Executed) for _ in others)
    assert held.empty()
    stranger.rollback()
    assert all(isinstance(held.get(timeout=10), Executed) for _ in others)
    assert verify().differences == 0


def test_what_another_transaction_holds_is_told_from_what_is_free_and_from_what_is_not_there(
    bank: Bank, stranger: psycopg.Connection
) -> None:
    held, free = bank.open(), bank.open()
    stranger.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (held,))

    assert held_streams([free, held, UUID(int=7)]) == {held}

    stranger.rollback()
    assert held_streams([free, held]) == set()
    stranger.execute("SET lock_timeout = 100")
    stranger.execute("SELECT FROM streams WHERE aggregate_id = ANY (%s) FOR UPDATE", ([held, free],))
